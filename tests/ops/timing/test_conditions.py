"""What disturbs a measurement is flagged, and nothing else is."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from ops.timing.conditions import Conditions, Watch, drift, migration
from ops.timing.sampling import Timer

QUIET = Conditions(
    wall_s=2.0,
    cpu_s=1.99,
    foreign_cores=0.01,
    cores=2,
    throttled_s=0.0,
    frequency_mhz=(3000.0, 2990.0),
    heat_events=0,
    reference_ms=(0.2, 0.205),
)


def test_a_quiet_machine_flags_nothing() -> None:
    assert QUIET.flags() == ()


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"cpu_s": 1.2}, "starved"),
        ({"foreign_cores": 1.1}, "foreign load"),
        ({"throttled_s": 0.3}, "quota"),
        ({"frequency_mhz": (3000.0, 2000.0)}, "clock"),
        ({"heat_events": 4}, "heat"),
        ({"reference_ms": (0.2, 0.25)}, "speed"),
        ({"reference_ms": (0.25, 0.2)}, "speed"),
    ],
)
def test_each_disturbance_is_flagged_by_its_kind(change: dict[str, object], kind: str) -> None:
    (flag,) = replace(QUIET, **change).flags()  # type: ignore[arg-type]
    assert flag.startswith(f"{kind}: ")


def test_what_cannot_be_read_flags_nothing() -> None:
    nothing = {"foreign_cores": None, "throttled_s": None, "frequency_mhz": None}
    unknown = replace(QUIET, **nothing, heat_events=None, reference_ms=None)  # type: ignore[arg-type]
    assert unknown.flags() == ()


def test_the_watch_counts_this_process_and_its_time() -> None:
    watch = Watch()
    total = sum(i * i for i in range(300_000))
    seen = watch.stop()
    assert total > 0
    assert seen.cpu_s > 0
    assert seen.wall_s > 0
    assert seen.cores >= 1
    assert seen.foreign_cores is None or seen.foreign_cores >= 0


def test_drift_is_a_clear_change_between_the_halves() -> None:
    steady = [1.0, 1.01, 0.99, 1.02, 1.0, 0.98] * 2
    assert drift(steady) is None
    assert drift([*steady, *(1.3 * s for s in steady)]) == "drift: +30% in the later half"
    assert drift([*steady, *(1.02 * s for s in steady)]) is None
    assert drift([1.0] * 5 + [2.0] * 5) is None


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs Linux's affinity")
def test_samples_that_end_on_another_core_are_counted_and_many_are_flagged() -> None:
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        pytest.skip("there is one core")

    def moving(run: Callable[[], object], calls: int) -> float:
        os.sched_setaffinity(0, {next(turns)})
        return 1.0

    turns = itertools.cycle(cores[:2])
    moved, still = (Timer(lambda: None, clock, lambda: None) for clock in (moving, lambda *_: 1.0))
    try:
        for _ in range(10):
            moved.take()
        os.sched_setaffinity(0, cores[:1])
        for _ in range(10):
            still.take()
    finally:
        os.sched_setaffinity(0, cores)
    assert (moved.moved >= 9, still.moved) == (True, 0)
    assert (
        migration(moved.moved, 10)
        == f"migration: moved to another core in {moved.moved} of 10 samples"
    )
    assert migration(1, 10) is None  # a median hardly feels it


def test_fixed_work_is_timed_before_and_after_where_no_other_thread_spins() -> None:
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        before, after = Watch().stop().reference_ms or (0.0, 0.0)
        assert before > 0
        assert after > 0
        torch.set_num_threads(2)
        assert Watch().stop().reference_ms is None
    finally:
        torch.set_num_threads(threads)
