"""The interval of the median covers what it promises."""

from __future__ import annotations

import random
import statistics

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ops.timing.statistics import median_interval


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
