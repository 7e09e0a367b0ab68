"""The interval of a sample's median, without assuming a distribution."""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = ["LEAST_SAMPLES", "median_interval"]

LEAST_SAMPLES = 6
"""With fewer, even the extremes hold the median with less than 95 % probability."""


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
    ordered, n = sorted(samples), len(samples)
    skipped, tail = 0, _binomial_half(n, 0)
    while tail + _binomial_half(n, skipped + 1) <= (1 - coverage) / 2:
        skipped += 1
        tail += _binomial_half(n, skipped)
    return ordered[skipped], ordered[n - 1 - skipped]


def _binomial_half(n: int, k: int) -> float:
    """P(binomial(n, 1/2) = k), for any n without overflow."""
    choices = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
    return math.exp(choices - n * math.log(2))
