"""Intervals cover what they promise, and verdicts follow from them."""

from __future__ import annotations

import math
import random
import statistics

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ops.timing.statistics import (
    Interval,
    judge,
    least_samples,
    median_interval,
    paired_speedup,
    relative_width,
    speedup,
)


@pytest.mark.parametrize(
    ("n", "ranks"),
    [
        (1, (1, 1)),
        (5, (1, 5)),
        (6, (1, 6)),
        (10, (2, 9)),
        (20, (6, 15)),
        (30, (10, 21)),
        (50, (18, 33)),
    ],
)
def test_ranks_are_those_of_the_published_table(n: int, ranks: tuple[int, int]) -> None:
    """Order statistics of the 95 % interval of the median, as in tables of the sign test."""
    assert median_interval([float(i) for i in range(1, n + 1)]) == ranks


def test_covers_the_true_median_as_often_as_promised() -> None:
    rng, hits = random.Random(0), 0
    for _ in range(2000):
        low, high = median_interval([rng.lognormvariate(0, 1) for _ in range(25)])
        hits += low <= 1 <= high
    assert 0.94 < hits / 2000 < 0.985


@settings(derandomize=True, database=None, deadline=None)
@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=200))
def test_holds_the_samples_median(samples: list[float]) -> None:
    low, high = median_interval(samples)
    assert low <= statistics.median(samples) <= high


def test_works_for_more_samples_than_floats_have_exponents() -> None:
    low, high = median_interval([float(i) for i in range(5000)])
    assert 2400 < low < 2500 < high < 2600


def test_no_samples_are_an_error() -> None:
    with pytest.raises(ValueError, match="no samples"):
        median_interval([])


def test_width_is_unknown_below_six_samples() -> None:
    assert relative_width([1.0] * 5) == math.inf
    assert relative_width([1.0] * 6) == 0.0
    assert relative_width([0.9, 1.0, 1.0, 1.0, 1.0, 1.1]) == pytest.approx(0.2)


def noisy(rng: random.Random, middle: float, n: int) -> list[float]:
    """Times as they are: a floor, and a long tail above it."""
    return [middle * (1 + rng.expovariate(20)) for _ in range(n)]


def test_speedup_of_times_taken_apart_covers_the_truth() -> None:
    rng, hits = random.Random(1), 0
    for _ in range(500):
        times = speedup(noisy(rng, 1.0, 30), noisy(rng, 2.0, 30))
        hits += times.low <= 2 <= times.high
    assert hits / 500 > 0.95


def test_speedup_of_paired_times_survives_what_slows_a_whole_round() -> None:
    """A machine that is three times slower in every other round: the ratio stays at 2."""
    load = [1.0, 3.0] * 10
    paired = paired_speedup([0.5 * slow for slow in load], list(load))
    assert paired == Interval(2.0, 2.0, 2.0)
    apart = speedup([0.5 * slow for slow in load], list(load))
    assert apart.low < 1 < apart.high


def test_too_few_samples_decide_nothing() -> None:
    assert least_samples(0.95) == 6
    assert least_samples(math.sqrt(0.95)) == 7
    assert judge(speedup([1.0] * 6, [9.0] * 30)) == "cannot tell"
    assert judge(speedup([1.0] * 7, [9.0] * 7)) == "faster"
    assert judge(paired_speedup([1.0] * 5, [9.0] * 5)) == "cannot tell"


def test_rounds_must_be_as_many() -> None:
    with pytest.raises(ValueError, match="longer"):
        paired_speedup([1.0], [1.0, 2.0])


@pytest.mark.parametrize(
    ("interval", "verdict"),
    [
        ((1.2, 1.06, 1.3), "faster"),
        ((1.2, 1.04, 1.3), "cannot tell"),
        ((1.0, 0.96, 1.04), "same"),
        ((1.0, 0.9, 1.04), "cannot tell"),
        ((0.9, 0.8, 0.94), "slower"),
        ((0.9, 0.8, 0.96), "cannot tell"),
        ((1.0, 0.0, math.inf), "cannot tell"),
    ],
)
def test_a_verdict_needs_the_whole_interval(
    interval: tuple[float, float, float], verdict: str
) -> None:
    assert judge(Interval(*interval), margin=0.05) == verdict


@settings(derandomize=True, database=None, deadline=None)
@given(st.floats(0.1, 10), st.floats(1, 2), st.floats(0.001, 0.5))
def test_verdicts_are_symmetric(value: float, spread: float, margin: float) -> None:
    """If A is faster than B, then B is slower than A."""
    opposite = {"faster": "slower", "slower": "faster"}
    there = Interval(value, value / spread, value * spread)
    back = Interval(1 / there.value, 1 / there.high, 1 / there.low)
    verdict = judge(there, margin)
    assert judge(back, margin) == opposite.get(verdict, verdict)


def test_the_same_work_is_seldom_called_different() -> None:
    rng = random.Random(2)
    verdicts = [
        judge(speedup(noisy(rng, 1.0, 20), noisy(rng, 1.0, 20)), margin=0.01) for _ in range(300)
    ]
    assert sum(verdict in ("faster", "slower") for verdict in verdicts) <= 6


def test_a_margin_must_be_positive() -> None:
    with pytest.raises(ValueError, match="margin = 0 must be above 0"):
        judge(Interval(1, 1, 1), margin=0)
