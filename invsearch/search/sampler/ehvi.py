"""Exact expected hypervolume improvement where some objectives are known and some predicted.

With independent predictions, the expected volume that a candidate adds factorises over the disjoint
boxes of the undominated region (Emmerich, Yang, Deutz 2020; Yang et al. 2019)::

    EHVI = sum over boxes of  prod_known max(0, u - max(l, c))  *  prod_unknown (EI(u) - EI(l))

``EI(level) = E[max(0, level - Y)]``. With two objectives of which one is known this is the sum over
the front's steps of width times expected improvement. Nothing is sampled or approximated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import erfcx

from invsearch.search.sampler.boxes import UndominatedBoxes

__all__ = ["Marginal", "expected_gain"]

Array = NDArray[np.float64]

_SQRT_2PI = float(np.sqrt(2.0 * np.pi))  # of the normal density
_CHUNK = 2_000_000  # numbers at a time: 16 MB in float64, which a last-level cache holds


def _mills(u: Array) -> Array:
    """``Phi(-u) / phi(u)``, without underflow for positive ``u``."""
    return np.asarray(0.5 * _SQRT_2PI * erfcx(u * np.sqrt(0.5)))


@dataclass(frozen=True)
class Marginal:
    """Independent normal predictions of one minimised objective at n candidates.

    Attributes:
        mean: (n,) means.
        deviation: (n,) standard deviations, above 0.
    """

    mean: Array
    deviation: Array

    def __getitem__(self, rows: NDArray[np.intp] | slice) -> Marginal:
        return Marginal(self.mean[rows], self.deviation[rows])

    def improvement(self, levels: Array) -> Array:
        """``E[max(0, level - Y)]`` for every candidate and level: (n, levels).

        It is ``sigma h(u)``, ``u = (level - mean) / sigma``, with ``h(u) = phi(u) + u Phi(u)``;
        below the mean that is written ``phi(u) (1 + u Phi(u) / phi(u))``, where a tiny expectation
        keeps its digits (Ament et al. 2023, Unexpected improvements to expected improvement), and
        above it ``u + h(-u)``.
        """
        sigma = self.deviation[:, None]
        u = (levels - self.mean[:, None]) / sigma
        away = np.abs(u)
        below = np.exp(-0.5 * away * away) / _SQRT_2PI
        below *= np.maximum(1.0 - away * _mills(away), 0.0)
        return np.asarray(sigma * (below + np.maximum(u, 0.0)))


def _predicted_sides(prediction: Marginal, lower: Array, upper: Array) -> Array:
    """``EI(upper) - EI(lower)`` for every candidate and box."""
    levels, where = np.unique(np.concatenate([lower, upper]), return_inverse=True)
    bounded = np.isfinite(levels)
    gains = np.zeros((len(prediction.mean), len(levels)))
    gains[:, bounded] = prediction.improvement(levels[bounded])
    low, high = where[: len(lower)], where[len(lower) :]
    if not np.isfinite(lower).any():
        return np.asarray(gains[:, high])
    return np.asarray(np.maximum(gains[:, high] - gains[:, low], 0.0))


def expected_gain(
    boxes: UndominatedBoxes, known: Mapping[int, Array], predicted: Mapping[int, Marginal]
) -> Array:
    """Expected hypervolume improvement of every candidate: (n,).

    Args:
        boxes: The undominated region.
        known: By objective, the exact values (n,) of the candidates.
        predicted: The other objectives.
    """
    n = len(next(iter(known.values()))) if known else len(next(iter(predicted.values())).mean)
    gains = np.empty(n)
    step = max(1, _CHUNK // len(boxes))
    for begin in range(0, n, step):
        rows = slice(begin, begin + step)
        volume: Array = np.ones((1, len(boxes)))
        for d, cost in known.items():
            start = np.maximum(boxes.lower[:, d], cost[rows, None])
            volume = volume * np.maximum(boxes.upper[:, d] - start, 0.0)
        for d, prediction in predicted.items():
            volume = volume * _predicted_sides(
                prediction[rows], boxes.lower[:, d], boxes.upper[:, d]
            )
        gains[rows] = volume.sum(axis=1)
    return gains
