"""Latency: a fresh process, a lock per device, one clear line when it fails."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from invsearch.errors import TrialError
from invsearch.latency import latency
from invsearch.models import network_spec, proxy_spec

OPERATOR = """
import ops
from torch import nn

@ops.register("file_op", macs=lambda shape, *, stride: 0, params=lambda channels: 0)
def build(channels, *, stride):
    return nn.MaxPool2d(3, stride, 1)
"""


def small(**parameters: str):
    spec = network_spec({"family": "rednet", "depth": 26}, parameters)
    return proxy_spec(spec, width=0.125, num_classes=10, in_channels=1)


@pytest.mark.usefixtures("clean_registry")
def test_a_fresh_process_measures_an_operator_from_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker finds what the parent registered, with the threads asked for, as a metric."""
    file = tmp_path / "file_op_of_a_user.py"
    file.write_text(OPERATOR)
    found = importlib.util.spec_from_file_location("file_op_of_a_user", file)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    monkeypatch.setitem(sys.modules, "file_op_of_a_user", module)
    found.loader.exec_module(module)
    metric = latency(small(operator="file_op"), shape=(2, 1, 8, 8), threads=1)
    assert (metric.name, metric.source) == ("latency_ms", "measured")
    assert metric.low <= metric.value <= metric.high
    assert metric.detail["threads"] == 1
    assert metric.detail["shape"] == [2, 1, 8, 8]
    assert {"nice", "samples", "environment", "device"} <= metric.detail.keys()


def test_the_workers_last_line_is_the_reason() -> None:
    """An image with the wrong channels fails in the worker and says so in one line."""
    with pytest.raises(TrialError, match=r"latency on cpu: .*channels") as caught:
        latency(small(), shape=(1, 3, 8, 8))
    assert "\n" not in str(caught.value)


def test_a_measurement_that_takes_too_long_is_given_up() -> None:
    """The time limit ends the process and names itself."""
    with pytest.raises(TrialError, match=r"not done in 0.01 s"):
        latency(small(), shape=(1, 1, 8, 8), timeout_s=0.01)
