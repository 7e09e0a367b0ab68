"""Rankings compared: Kendall's tau, the same at equal cost, and an interval of either."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["LEAST_RANKED", "Tau", "kendall", "rank_agreement", "residuals"]

Array = NDArray[np.float64]

LEAST_RANKED = 3  # networks: two are in the right order by chance half of the time
_RESAMPLES = 1000  # ends of a 95 % interval then stand on 25 values each
_FLAT = 1e-9  # of a spread: what rounding leaves of a line that fits


@dataclass(frozen=True)
class Tau:
    """How well a source ranks networks.

    Attributes:
        tau: Kendall's tau-b, 1 where the higher value always has the lower loss.
        low: Lower end of its 95 % interval, by a bootstrap over networks; None below three.
        high: Upper end.
        equal_cost: The same once the costs are regressed out of both: what is known beyond
            "bigger is better". None where nothing is left to rank.
        equal_low: Lower end of its interval.
        equal_high: Upper end.
        n: Networks compared.
    """

    tau: float | None
    low: float | None
    high: float | None
    equal_cost: float | None
    equal_low: float | None
    equal_high: float | None
    n: int


def kendall(first: Array, second: Array) -> float | None:
    """Kendall's tau-b; None where one of them does not vary."""
    from scipy.stats import kendalltau

    tau = float(kendalltau(first, second).statistic)
    return tau if math.isfinite(tau) else None


def residuals(values: Array, logs: Array) -> Array:
    """What a straight line in the logarithm of the cost leaves."""
    return np.asarray(values - np.polyval(np.polyfit(logs, values, 1), logs))


def rank_agreement(
    values: Sequence[float],
    losses: Sequence[float],
    costs: Sequence[float],
    *,
    resamples: int = _RESAMPLES,
) -> Tau:
    """Compare what a source says of networks with what trainings found.

    Args:
        values: Of the source, higher for the better.
        losses: Of the trainings, lower for the better.
        costs: Above 0, such as the number of parameters.
        resamples: Of the bootstrap.
    """
    x, y = np.asarray(values, dtype=np.float64), -np.asarray(losses, dtype=np.float64)
    logs = np.log(np.asarray(costs, dtype=np.float64))

    def plain(rows: NDArray[np.int64]) -> float | None:
        return kendall(x[rows], y[rows]) if len(set(rows)) >= LEAST_RANKED else None

    def equal(rows: NDArray[np.int64]) -> float | None:
        # three points and a line leave nothing
        if len(set(rows)) <= LEAST_RANKED or np.ptp(logs[rows]) == 0:
            return None
        rest = residuals(x[rows], logs[rows])
        if np.ptp(rest) <= _FLAT * max(1.0, np.ptp(x[rows])):
            return None  # the source is the cost
        return kendall(rest, residuals(y[rows], logs[rows]))

    tau = _with_interval(plain, len(x), resamples)
    return Tau(*tau, *_with_interval(equal, len(x), resamples), n=len(x))


def _with_interval(
    figure: Callable[[NDArray[np.int64]], float | None], n: int, resamples: int
) -> tuple[float | None, float | None, float | None]:
    value = figure(np.arange(n))
    if value is None:
        return None, None, None
    rng = np.random.default_rng(0)
    drawn = [figure(rng.integers(n, size=n)) for _ in range(resamples)]
    found = [one for one in drawn if one is not None]
    if not found:
        return value, None, None
    low, high = np.percentile(found, [2.5, 97.5])
    return value, float(low), float(high)
