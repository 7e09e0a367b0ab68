"""Centre and spread of values of any size."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["standard"]

_SQUARES = (1e-150, 1e150)  # between them squares, and sums of thousands of them, are numbers
_ROUNDING = 1e-12  # of the largest value: what is closer together is equal, but for rounding


def standard(values: NDArray[np.float64]) -> tuple[float, float]:
    """Mean and standard deviation; the latter is 0 where values are equal, or there is none.

    Args:
        values: (n,), in any unit.
    """
    largest = float(np.abs(values).max(initial=0.0))
    if not largest:
        return 0.0, 0.0
    unit = 1.0 if _SQUARES[0] < largest < _SQUARES[1] else largest
    mean, deviation = unit * float((values / unit).mean()), unit * float((values / unit).std())
    return mean, deviation if deviation > _ROUNDING * largest else 0.0
