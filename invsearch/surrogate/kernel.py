"""The covariance of the Gaussian processes, and its parameters.

Kernel (Rasmussen and Williams 2006, chapter 4; the exp-Hamming part as in Oh et al. 2019, COMBO)::

    k(a, b) = signal * exp(-sum_g w_g |f_g(a) - f_g(b)|^2)
              + additive * f(a).f(b) + linear * z(a).z(b) + constant

``f_g`` are the feature columns of group ``g`` (one group a parameter: a one-hot block gives the
Hamming distance, a scaled number a squared-exponential one) and ``z`` the linear features (log
known costs). Both the exponent and the rest are one matrix product each, so nothing of size
n * n * groups is ever built.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["CONSTANT", "Features", "Hyperparameters", "Kernel"]

Array = NDArray[np.float64]

CONSTANT = 1.0  # variance of the mean: that of the values, which are standardised
_CHUNK = 250_000  # numbers at a time: 2 MB in float64, a core's own cache


@dataclass(frozen=True)
class Features:
    """Points as the kernel sees them.

    Attributes:
        columns: (n, columns) distance features.
        linear: (n, linear) features of the linear term.
        groups: (columns,), the group of each distance column, 0 to the number of groups - 1.
    """

    columns: Array
    linear: Array
    groups: NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.columns)

    def __getitem__(self, rows: NDArray[np.intp] | NDArray[np.bool_] | slice) -> Features:
        return Features(self.columns[rows], self.linear[rows], self.groups)

    def joined(self, other: Features) -> Features:
        """These points followed by those of ``other``."""
        return Features(
            np.concatenate([self.columns, other.columns]),
            np.concatenate([self.linear, other.linear]),
            self.groups,
        )


@dataclass(frozen=True)
class Hyperparameters:
    """Natural logarithms of the kernel's positive parameters, for targets of unit variance."""

    weights: Array
    levels: Array
    signal: float
    linear: float
    additive: float
    noise: float

    @classmethod
    def prior(cls, groups: int, columns: int) -> Hyperparameters:
        """The prior's mode: two random points correlate by about exp(-1)."""
        return cls(
            np.full(groups, np.log(1.5 / max(groups, 1))),
            np.zeros(columns),
            0.0,
            0.0,
            np.log(0.1),
            np.log(1e-2),
        )

    @classmethod
    def unpack(cls, vector: Array, columns: int) -> Hyperparameters:
        signal, linear, additive, noise = (float(v) for v in vector[-4:])
        g = len(vector) - 4 - columns
        return cls(vector[:g], vector[g:-4], signal, linear, additive, noise)

    def pack(self) -> Array:
        return np.concatenate(
            [self.weights, self.levels, [self.signal, self.linear, self.additive, self.noise]]
        )


class Kernel:
    """The covariance of any points with fixed ones, without noise.

    Args:
        h: The parameters.
        to: The n fixed points.
    """

    def __init__(self, h: Hyperparameters, to: Features) -> None:
        self._h = h
        self._scale = np.exp(0.5 * (h.weights[to.groups] + h.levels))
        scaled, own = self._scaled(to)
        self._right = np.concatenate([scaled, np.ones((len(to), 1)), own], axis=1).T
        line = np.exp(h.linear) * to.linear
        constant = np.full((len(to), 1), CONSTANT)
        self._lines = np.concatenate([np.exp(h.additive) * to.columns, line, constant], axis=1).T

    def smooth(self, at: Features) -> Array:
        """The first term alone: (len(at), n)."""
        scaled, own = self._scaled(at)
        shifted = own + self._h.signal
        exponent = np.concatenate([2.0 * scaled, shifted, np.ones_like(own)], axis=1) @ self._right
        return np.asarray(np.exp(exponent, out=exponent))

    def __call__(self, at: Features) -> Array:
        """(len(at), n)."""
        k = self.smooth(at)
        k += _plain(at) @ self._lines
        return k

    def times(self, at: Features, vector: Array) -> Array:
        """The covariance times ``vector`` (n,), without ever holding all of it: (len(at),)."""
        product = _plain(at) @ (self._lines @ vector)
        for rows in self.chunks(at):
            product[rows] += self.smooth(at[rows]) @ vector
        return np.asarray(product)

    def chunks(self, at: Features) -> Iterator[slice]:
        """Parts of ``at`` whose covariances fit a processor's cache."""
        step = max(32, _CHUNK // max(self._right.shape[1], 1))
        return (slice(begin, begin + step) for begin in range(0, len(at), step))

    def variance(self, at: Features) -> Array:
        """The covariance of every point with itself: (len(at),)."""
        h = self._h
        variance = np.full(len(at), np.exp(h.signal) + CONSTANT)
        variance += np.exp(h.linear) * np.einsum("ij,ij->i", at.linear, at.linear)
        variance += np.exp(h.additive) * np.einsum("ij,ij->i", at.columns, at.columns)
        return variance

    def _scaled(self, x: Features) -> tuple[Array, Array]:
        """Columns whose distances are weighted, and the negative squared lengths (n, 1)."""
        scaled = x.columns * self._scale
        return scaled, -np.einsum("ij,ij->i", scaled, scaled)[:, None]


def _plain(x: Features) -> Array:
    return np.concatenate([x.columns, x.linear, np.ones((len(x), 1))], axis=1)
