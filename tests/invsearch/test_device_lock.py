"""The lock on a device: nothing falls into a measurement, and neither side starves."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from itertools import pairwise
from pathlib import Path

import pytest

from invsearch.device_lock import _name, alone, shared
from invsearch.errors import InputError

Span = tuple[float, float]

LEAVES_A_CHILD = """
import os, sys, time
from invsearch.device_lock import shared
with shared("cpu") as sharing:
    child = os.fork()
    if child == 0:
        os.closerange(0, 3)  # whoever reads them does not wait for the child
        time.sleep(60)
        os._exit(0)
    print(child, flush=True)
    os._exit(0)  # as SIGKILL ends it: nothing is given back
"""


@pytest.fixture(autouse=True)
def own_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("INVSEARCH_LOCKS", str(tmp_path))
    return tmp_path


def test_the_lock_excludes_other_holders(own_locks: Path) -> None:
    """While one measurement holds a device nobody else gets it; another device is free."""
    with alone("cpu"):
        other = os.open(own_locks / "invsearch-cpu.lock", os.O_RDONLY)
        for kind in (fcntl.LOCK_EX, fcntl.LOCK_SH):
            with pytest.raises(BlockingIOError):
                fcntl.flock(other, kind | fcntl.LOCK_NB)
        with alone("cuda"):
            assert (own_locks / "invsearch-cuda_0.lock").exists()
    fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(other)


def test_no_step_falls_into_a_measurement_and_neither_side_starves() -> None:
    """Three trainings that never pause, and two who measure one after the other."""
    steps: list[Span] = []
    measured: list[Span] = []
    over = threading.Event()

    def train() -> None:
        with shared("cpu") as sharing:
            while not over.is_set():
                began = time.monotonic()
                time.sleep(0.002)
                steps.append((began, time.monotonic()))
                sharing.give_way()

    def measure() -> None:
        for _ in range(5):
            with alone("cpu"):
                began = time.monotonic()
                time.sleep(0.004)
                measured.append((began, time.monotonic()))

    trainers = [threading.Thread(target=train) for _ in range(3)]
    who_measure = [threading.Thread(target=measure) for _ in range(2)]
    for thread in (*trainers, *who_measure):
        thread.start()
    for thread in who_measure:
        thread.join(60)
        assert not thread.is_alive(), "a measurement starved"
    before = len(steps)
    until = time.monotonic() + 60
    while len(steps) < before + 3 and time.monotonic() < until:
        time.sleep(0.002)
    over.set()
    for thread in trainers:
        thread.join(60)
        assert not thread.is_alive(), "a training starved"
    assert len(measured) == 10
    assert all(end <= begin for (_, end), (begin, _) in pairwise(sorted(measured)))
    assert not any(a < end and begin < b for a, b in steps for begin, end in measured)
    last = max(measured)[0]
    assert any(begin < last for begin, _ in steps), "the trainings waited for all measurements"


def test_who_measures_within_its_own_work_does_not_wait_for_itself(own_locks: Path) -> None:
    with shared("cpu") as sharing, shared("cpu") as again:
        assert again is sharing
        with alone("cpu"):
            pass
        with (
            pytest.raises(BlockingIOError),
            (own_locks / "invsearch-cpu.lock").open() as file,
        ):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # it is shared again


def test_a_child_that_a_dead_training_left_holds_nothing(own_locks: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LEAVES_A_CHILD], capture_output=True, text=True, check=True
    )
    child = int(done.stdout)
    try:
        with (own_locks / "invsearch-cpu.lock").open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.kill(child, signal.SIGKILL)


def test_without_a_folder_for_locks_work_goes_on_and_a_measurement_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("INVSEARCH_LOCKS", "/nowhere/at/all")
    with shared("cpu") as sharing:
        sharing.give_way()
    with pytest.raises(InputError, match="INVSEARCH_LOCKS names a folder"), alone("cpu"):
        pass


def test_a_gpu_has_one_name_in_every_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many of the others each of them sees."""
    assert _name("cuda") == _name("cuda:0") == "cuda_0"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    assert [_name(device) for device in ("cuda", "cuda:1", "cpu")] == ["cuda_2", "cuda_3", "cpu"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert _name("cuda:1") == "cuda_1"
