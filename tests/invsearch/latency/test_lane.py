"""The lane: no accepted sample overlaps other work on its device, and what disturbs is rejected."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import training_beside
from training_beside import overlaps, sampled, steps, wait_for_steps

from invsearch.latency import lane
from invsearch.latency.lane import DisturbedError
from invsearch.latency.measured import ask
from invsearch.latency.target import Target
from invsearch.models import network_spec, proxy_spec

PROXY: dict[str, Any] = {"width": 0.125, "num_classes": 10, "in_channels": 3}
SPEC = proxy_spec(network_spec({"family": "rednet", "depth": 26}, {}), **PROXY)
SHAPE = (1, 3, 16, 16)  # a pass of milliseconds: the test is of who waits, not of how long
LONGER = proxy_spec(network_spec({"family": "rednet", "depth": 26}, {}), **{**PROXY, "width": 0.5})


@pytest.fixture
def one_core() -> Iterator[None]:
    """This process and its children on one core."""
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("needs Linux's affinity")
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    yield
    os.sched_setaffinity(0, before)


def busy_loop() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", "while True: pass"])


@pytest.mark.usefixtures("one_core")
def test_what_is_accepted_after_a_busy_loop_equals_what_is_measured_without_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The loop ends when the first measurement beside it was rejected.

    A virtual machine's own speed changes from one measurement to the next (by 1.4 was seen), which
    neither figure can show: one of four pairs has to agree. Beside a loop a pass takes twice as
    long, in each of them.
    """
    monkeypatch.setattr(lane, "ATTEMPTS", 4)
    monkeypatch.setattr(lane, "_FIRST_WAIT_S", 0.1)

    def measured() -> Mapping[str, Any]:
        try:
            return ask(LONGER, (1, 3, 96, 96), Target(undisturbed=True))
        except DisturbedError as error:
            pytest.skip(f"this machine is busy with other work: {error}")

    flags_of = lane.disturbances
    loop: subprocess.Popen[bytes] | None = None

    def end_the_loop(figures: Mapping[str, Any]) -> list[str]:
        found = flags_of(figures)
        if found and loop is not None:
            loop.kill()
            loop.wait()
        return found

    def measured_beside_a_loop() -> Mapping[str, Any]:
        nonlocal loop
        loop = busy_loop()
        try:
            with monkeypatch.context() as patch:
                patch.setattr(lane, "disturbances", end_the_loop)
                return measured()
        finally:
            loop.kill()
            loop.wait()

    pairs = []
    for _ in range(4):
        pairs.append((measured(), measured_beside_a_loop()))
        quiet, final = pairs[-1]
        beside = final["detail"]["rejected"][0]
        assert any(flag.startswith("starved") for flag in beside["flags"])
        if agree(quiet, final):
            break
    else:
        pytest.fail(f"four pairs, and none agrees: {pairs}")
    assert beside["median_ms"] > 1.3 * quiet["high_ms"]  # a pass is longer than a slice of time


def agree(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether their intervals meet, each a tenth wider for what differs between processes."""
    return bool(one["low_ms"] < 1.1 * other["high_ms"] and other["low_ms"] < 1.1 * one["high_ms"])


def test_no_sample_overlaps_a_step_of_a_training_on_the_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the timestamps of both, of a training that never pauses by itself and goes on after."""
    monkeypatch.setenv("INVSEARCH_LOCKS", str(tmp_path))
    log, stop = tmp_path / "steps", tmp_path / "stop"
    # away from tests/invsearch, which would be taken for the package
    program = shutil.copy(training_beside.__file__, tmp_path)
    training = subprocess.Popen([sys.executable, program, log, stop])
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
