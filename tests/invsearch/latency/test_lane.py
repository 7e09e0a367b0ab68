"""The lane: no accepted sample overlaps other work on its device, and what disturbs is rejected."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import training_beside
from training_beside import overlaps, sampled, steps, wait_for_steps

from invsearch.latency.measured import ask
from invsearch.latency.target import Target
from invsearch.models import network_spec, proxy_spec

PROXY: dict[str, Any] = {"width": 0.125, "num_classes": 10, "in_channels": 3}
SPEC = proxy_spec(network_spec({"family": "rednet", "depth": 26}, {}), **PROXY)
SHAPE = (1, 3, 16, 16)


def test_no_sample_overlaps_a_step_of_a_training_on_the_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the timestamps of both, of a training that never pauses by itself and goes on after."""
    monkeypatch.setenv("INVSEARCH_LOCKS", str(tmp_path))
    log, stop = tmp_path / "steps", tmp_path / "stop"
    training = subprocess.Popen([sys.executable, training_beside.__file__, log, stop])
    try:
        wait_for_steps(log, 20)
        measured = [sampled(ask(SPEC, SHAPE, Target())["detail"]) for _ in range(2)]
        wait_for_steps(log, 20)
    finally:
        stop.touch()
        training.wait(60)
    taken = steps(log)
    assert not overlaps(taken, measured)
    assert any(end <= measured[0][0] for _, end in taken)
    for (_, before), (after, _) in pairwise([*measured, (float("inf"), 0.0)]):
        assert any(before <= begin and end <= after for begin, end in taken), "it starved"
