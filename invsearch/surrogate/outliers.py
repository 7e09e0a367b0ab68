"""Values that say "bad" and should say no more: else all of their surroundings look dead.

An architecture that is no valid network, or does not train, has an error several times that of any
other, and a Gaussian process that takes it at its word believes the same of what is next to it. So
values beyond the outer fence of the others count as the fence, and what is much worse than all
other trials foretell is told as unsure. Both are one-sided: nothing good is doubted.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["doubtful", "fence"]

Array = NDArray[np.float64]

_LEAST = 8  # values, a start without costs: fewer have no quartiles, and foretell nothing
# Tukey's outer fence, in quartile ranges beyond the upper quartile (Exploratory Data Analysis,
# 1977); his inner one, 1.5, cost .0005 of the volume on NAS-Bench-Macro. Moved out to the worst of
# the front it cost .0045 there where no cost is known, and .006 on a graph of NAS-Bench-Graph.
_RANGES = 3.0
_DEVIATIONS = 3.0  # of the leave-one-out error: a normal one is beyond once in 700


def fence(values: Array) -> float:
    """Up to where values (n,), minimised, are told apart, on the scale that is modelled."""
    if len(values) < _LEAST:
        return float("inf")
    low, high = np.quantile(values, [0.25, 0.75])
    return float(high + _RANGES * (high - low)) if high > low else float("inf")


def doubtful(errors: Array, deviations: Array) -> NDArray[np.bool_]:
    """Which trials are much worse than all others foretell: (n,).

    Args:
        errors: (n,), of the prediction of each by the others, above 0 where it is worse.
        deviations: (n,), theirs.
    """
    if len(errors) < _LEAST:
        return np.zeros(len(errors), dtype=bool)
    return np.asarray(errors > _DEVIATIONS * deviations)
