"""The covariance of the Gaussian processes, and its parameters.

Kernel (Rasmussen and Williams 2006, chapter 4; the exp-Hamming part as in Oh et al. 2019, COMBO)::

    k(a, b) = signal * exp(-sum_c w_g(c) v_c (f_c(a) - f_c(b))^2)
              + additive * f(a).f(b) + pooled * p(a).p(b) + linear * z(a).z(b) + constant

``f_c`` are the feature columns, each in a group ``g`` (one group a parameter: a one-hot block gives
the Hamming distance, a scaled number a squared-exponential one) and ``z`` the linear features (log
known costs). ``p`` are the columns of families, which count what several parameters have in common
(how many positions have an operator) and are among those of the exponent too: the effects of an
operator at several positions are drawn around a common one, as in a hierarchical model (Gelman and
Hill 2007, chapter 11), and how near to it is learnt. ``v_c`` lets one choice of a parameter be
further from the others than these are from each other: where "none" cuts a path, what is known
without it says little about what is with it, while two kinds of convolution stay alike.

Both the exponent and the rest are one matrix product each, so that nothing of size
n * n * groups is ever built.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

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
        shared: (columns,), which columns have the weight of their group as it is, none by default.
        pooled: (columns,), which columns are of families of parameters, none by default.
    """

    columns: Array
    linear: Array
    groups: NDArray[np.intp]
    shared: NDArray[np.bool_] | None = None
    pooled: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.columns)

    def __getitem__(self, rows: NDArray[np.intp] | NDArray[np.bool_] | slice) -> Features:
        return replace(self, columns=self.columns[rows], linear=self.linear[rows])

    @property
    def of_families(self) -> NDArray[np.bool_]:
        """(columns,), :attr:`pooled` or its default."""
        return np.zeros(len(self.groups), dtype=bool) if self.pooled is None else self.pooled

    def joined(self, other: Features) -> Features:
        """These points followed by those of ``other``."""
        return replace(
            self,
            columns=np.concatenate([self.columns, other.columns]),
            linear=np.concatenate([self.linear, other.linear]),
        )


@dataclass(frozen=True)
class Hyperparameters:
    """Natural logarithms of the kernel's positive parameters, for targets of unit variance.

    Attributes:
        weights: (groups,), of each group.
        levels: (columns,), each column's factor of its group's weight.
    """

    weights: Array
    levels: Array
    signal: float
    linear: float
    additive: float
    pooled: float
    noise: float

    @classmethod
    def prior(cls, x: Features) -> Hyperparameters:
        """The prior's mode: two random points correlate by about exp(-1)."""
        groups = int(x.groups.max()) + 1 if len(x.groups) else 0
        single = len(np.unique(x.groups[~x.of_families]))
        weights = np.full(groups, np.log(1.5 / max(single, 1)))
        plain = float(np.log(0.1))
        return cls(weights, np.zeros(len(x.groups)), 0.0, 0.0, plain, plain, float(np.log(1e-2)))

    def unpack(self, vector: Array) -> Hyperparameters | None:
        """Those of a packed vector for the same features; None where it is of others."""
        if len(vector) != len(self.pack()):
            return None
        groups = len(self.weights)
        return Hyperparameters(vector[:groups], vector[groups:-5], *map(float, vector[-5:]))

    def pack(self) -> Array:
        others = [self.signal, self.linear, self.additive, self.pooled, self.noise]
        return np.concatenate([self.weights, self.levels, others])


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
        self._plain = np.exp(np.where(to.of_families, h.pooled, h.additive))
        self._lines = np.concatenate([self._plain * to.columns, line, constant], axis=1).T

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
        variance += np.einsum("ij,ij->i", self._plain * at.columns, at.columns)
        return variance

    def _scaled(self, x: Features) -> tuple[Array, Array]:
        """Columns whose distances are weighted, and the negative squared lengths (n, 1)."""
        scaled = x.columns * self._scale
        return scaled, -np.einsum("ij,ij->i", scaled, scaled)[:, None]


def _plain(x: Features) -> Array:
    return np.concatenate([x.columns, x.linear, np.ones((len(x), 1))], axis=1)
