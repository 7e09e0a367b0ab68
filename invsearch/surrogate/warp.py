"""Costs as the models see them: on a logarithm, standardised."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from invsearch.surrogate.standard import standard

__all__ = ["Warp"]

Array = NDArray[np.float64]


class Warp:
    """Logarithm (of values of one sign) and standardisation, fixed by reference values."""

    def __init__(self, reference: Array) -> None:
        """Args:
        reference: (n,) values; the logarithm is used where all are above or all below 0.
        """
        self._sign = 1.0 if np.all(reference > 0) else -1.0 if np.all(reference < 0) else 0.0
        base = self._base(reference)
        self._centre, spread = standard(base)
        self._spread = spread or 1.0

    def _base(self, values: Array) -> Array:
        if not self._sign:
            return values
        return np.asarray(self._sign * np.log(np.maximum(self._sign * values, 1e-300)))

    def __call__(self, values: Array) -> Array:
        """The values on the warped scale, in the same order."""
        return np.asarray((self._base(values) - self._centre) / self._spread)
