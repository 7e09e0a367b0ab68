"""The first points of a search, before a model says anything."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["start_point"]

Array = NDArray[np.float64]

_WINDOW = 30  # points near a stratum's cost that are compared: twice what is drawn of them
_FEW = 15  # of these, the one furthest from what is taken: the same cost does not mean a like point


def _van_der_corput(k: int) -> float:
    """The k-th number (from 0) of the base-2 sequence 1/2, 1/4, 3/4, 1/8, ..."""
    value, denominator, k = 0.0, 1.0, k + 1
    while k:
        denominator *= 2.0
        value += (k % 2) / denominator
        k //= 2
    return value


def start_point(
    columns: Array, taken: Array, cost: Array | None, k: int, rng: np.random.Generator
) -> int:
    """Choose the ``k``-th point of the start: the cheapest, the dearest, then strata of cost.

    The two ends hold most of the hypervolume's corners; the rest spread over the cost by a
    low-discrepancy sequence, each the most unlike the points taken among a few of its stratum.

    Args:
        columns: (n, columns), features of the free candidates.
        taken: (m, columns), features of the points taken.
        cost: (n,), a number that orders the candidates by cost; None where no cost is known.
        k: Which point, from 0; without costs the sequence has no ends.
        rng: Draws the few.

    Returns:
        The row of the candidate.
    """
    if cost is not None and k < 2:
        return int(np.argmin(cost) if k == 0 else np.argmax(cost))
    few = np.arange(len(columns))
    if cost is not None:
        centre = _van_der_corput(k - 2) * (len(few) - 1)
        width = max(_WINDOW, len(few) // 10)
        begin = int(np.clip(centre - width / 2, 0, max(0, len(few) - width)))
        few = np.argsort(cost, kind="stable")[begin : begin + width]
    few = rng.choice(few, size=min(_FEW, len(few)), replace=False)
    if not len(taken):
        return int(few[0])
    distance = ((columns[few][:, None] - taken[None]) ** 2).sum(axis=2).min(axis=1)
    return int(few[np.argmax(distance)])
