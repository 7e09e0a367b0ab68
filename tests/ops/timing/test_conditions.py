"""What disturbs a measurement is flagged, and nothing else is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ops.timing.conditions import Conditions, Watch, drift

QUIET = Conditions(
    wall_s=2.0,
    cpu_s=1.99,
    foreign_cores=0.01,
    cores=2,
    throttled_s=0.0,
    frequency_mhz=(3000.0, 2990.0),
    heat_events=0,
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
    ],
)
def test_each_disturbance_is_flagged_by_its_kind(change: dict[str, object], kind: str) -> None:
    (flag,) = replace(QUIET, **change).flags()  # type: ignore[arg-type]
    assert flag.startswith(f"{kind}: ")


def test_what_cannot_be_read_flags_nothing() -> None:
    nothing = {"foreign_cores": None, "throttled_s": None, "frequency_mhz": None}
    assert replace(QUIET, **nothing, heat_events=None).flags() == ()  # type: ignore[arg-type]


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
