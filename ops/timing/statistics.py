"""Intervals of medians and of their ratios, without assuming a distribution."""

from __future__ import annotations

import functools
import math
import statistics
from collections.abc import Sequence
from typing import Literal, NamedTuple

__all__ = [
    "LEAST_SAMPLES",
    "Interval",
    "Verdict",
    "judge",
    "least_samples",
    "median_interval",
    "paired_speedup",
    "relative_width",
    "speedup",
]

LEAST_SAMPLES = 6
"""With fewer, even the extremes hold the median with less than 95 % probability."""

Verdict = Literal["faster", "slower", "same", "cannot tell"]


class Interval(NamedTuple):
    """An estimate between two bounds."""

    value: float
    low: float
    high: float


def median_interval(samples: Sequence[float], coverage: float = 0.95) -> tuple[float, float]:
    """Interval of the median between two order statistics (David and Nagaraja, section 7.1).

    How many of n samples lie below the median is binomial(n, 1/2), so the interval from the k-th
    smallest to the k-th largest holds it with probability 1 - 2 P(fewer than k below).

    Args:
        samples: At least one, independent. Below `LEAST_SAMPLES` the extremes are returned.
        coverage: Least probability that the interval holds the median.

    Raises:
        ValueError: If there is no sample.
    """
    if not samples:
        raise ValueError("median_interval: there are no samples")
    ordered = sorted(samples)
    skipped = _skipped(len(ordered), coverage)
    return ordered[skipped], ordered[-1 - skipped]


def relative_width(samples: Sequence[float]) -> float:
    """Width of the median's 95 % interval over the median; infinite below `LEAST_SAMPLES`."""
    if len(samples) < LEAST_SAMPLES:
        return math.inf
    low, high = median_interval(samples)
    middle = statistics.median(samples)
    return (high - low) / middle if middle else math.inf


def paired_speedup(samples: Sequence[float], reference: Sequence[float]) -> Interval:
    """How many times faster than the reference, from times taken side by side in rounds.

    The median of the rounds' ratios, with its 95 % interval: what slows a whole round, such as
    another process or a falling clock, leaves the ratio as it is.

    Args:
        samples: Seconds, one a round.
        reference: Seconds of the reference in the same rounds.

    Raises:
        ValueError: If the rounds are not as many, or none.
    """
    ratios = [theirs / ours for ours, theirs in zip(samples, reference, strict=True)]
    low, high = median_interval(ratios)
    if len(ratios) < LEAST_SAMPLES:
        low, high = 0.0, math.inf
    return Interval(statistics.median(ratios), low, high)


def speedup(samples: Sequence[float], reference: Sequence[float]) -> Interval:
    """How many times faster than the reference, from times taken apart.

    The ratio of the medians. Each median's interval has the coverage sqrt(0.95), so that both hold,
    and with them the ratio's, with 95 % probability; too few samples give (0, infinity).

    Raises:
        ValueError: If there is no sample.
    """
    value = statistics.median(reference) / statistics.median(samples)
    coverage = math.sqrt(0.95)
    if min(len(samples), len(reference)) < least_samples(coverage):
        return Interval(value, 0.0, math.inf)
    low, high = median_interval(samples, coverage)
    reference_low, reference_high = median_interval(reference, coverage)
    return Interval(value, reference_low / high, reference_high / low)


def judge(times: Interval, margin: float = 0.05) -> Verdict:
    """What a speed-up says: the whole interval must lie beyond the margin, or within it.

    Args:
        times: A speed-up over the reference, with its interval.
        margin: Differences up to this are none: 0.05 is five percent.

    Raises:
        ValueError: If the margin is not positive.
    """
    if margin <= 0:
        raise ValueError(f"judge: margin = {margin!r} must be above 0")
    if times.low > 1 + margin:
        return "faster"
    if times.high < 1 / (1 + margin):
        return "slower"
    if times.low >= 1 / (1 + margin) and times.high <= 1 + margin:
        return "same"
    return "cannot tell"


@functools.cache
def least_samples(coverage: float) -> int:
    """How many samples it takes until the extremes hold the median with this probability."""
    return math.ceil(1 - math.log2(1 - coverage))


@functools.lru_cache(maxsize=4096)
def _skipped(n: int, coverage: float) -> int:
    """How many of n ordered samples lie outside the interval on either side."""
    skipped, tail = 0, _binomial_half(n, 0)
    while tail + _binomial_half(n, skipped + 1) <= (1 - coverage) / 2:
        skipped += 1
        tail += _binomial_half(n, skipped)
    return skipped


def _binomial_half(n: int, k: int) -> float:
    """P(binomial(n, 1/2) = k), for any n without overflow."""
    choices = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
    return math.exp(choices - n * math.log(2))
