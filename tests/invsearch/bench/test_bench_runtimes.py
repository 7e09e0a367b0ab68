"""`invsearch bench runtimes`: which ratio is of what."""

from __future__ import annotations

from dataclasses import replace

import pytest

import ops
from invsearch.bench.runtimes import rows_of
from ops.timing import Comparison


def test_ratios_are_of_the_fastest_on_both_sides() -> None:
    took = {
        "rednet50/torch": 40.0,
        "rednet50/frozen": 30.0,
        "rednet50/compiled": 33.0,
        "rednet50/onnxruntime": 31.5,
        "rednet50/onnxruntime_portable": 60.0,
        "resnet50/torch": 50.0,
        "resnet50/onnxruntime": 36.0,
    }
    quick = {"min_samples": 6, "min_time": 0.0, "warmup_time": 0.0, "max_width": 1e9}
    one = ops.measure(lambda x: x, (1,), **quick)
    measured = {name: replace(one, samples=(ms / 1e3,) * 9) for name, ms in took.items()}
    rows = {row["name"]: row["ratio"] for row in rows_of(Comparison(measured, "resnet50/torch"), 8)}
    assert rows == {
        "rednet50/over-fastest-resnet50/8": pytest.approx(36 / 30),
        "rednet50/exported-over-ours/onnxruntime/8": pytest.approx(2),
        "rednet50/native-over-ours/onnxruntime/8": pytest.approx(31.5 / 30),
        "rednet50/frozen-over-compiled/8": pytest.approx(30 / 33),
    }
