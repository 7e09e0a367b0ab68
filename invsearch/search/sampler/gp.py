"""A Gaussian process over encoded points, its hyperparameters by maximum a posteriori.

Kernel (Rasmussen and Williams 2006, chapter 4; the exp-Hamming part as in Oh et al. 2019, COMBO)::

    k(a, b) = signal * exp(-sum_g w_g |f_g(a) - f_g(b)|^2)
              + additive * f(a).f(b) + linear * z(a).z(b) + constant

``f_g`` are the feature columns of group ``g`` (one group a parameter: a one-hot block gives the
Hamming distance, a scaled number a squared-exponential one) and ``z`` the linear features (log
known costs). Every distance is a matrix product, so nothing of size n * n * groups is ever built.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky, lapack, solve_triangular
from scipy.optimize import minimize

__all__ = ["Features", "GaussianProcess", "Hyperparameters", "fit"]

Array = NDArray[np.float64]

CONSTANT = 1.0
NOISE_FLOOR = 1e-6


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
    signal: float
    linear: float
    additive: float
    noise: float

    @classmethod
    def prior(cls, groups: int) -> Hyperparameters:
        """The prior's mode: two random points correlate by about exp(-1)."""
        return cls(
            np.full(groups, np.log(1.5 / max(groups, 1))), 0.0, 0.0, np.log(0.1), np.log(1e-2)
        )

    @classmethod
    def unpack(cls, vector: Array) -> Hyperparameters:
        signal, linear, additive, noise = (float(v) for v in vector[-4:])
        return cls(vector[:-4], signal, linear, additive, noise)

    def pack(self) -> Array:
        return np.concatenate([self.weights, [self.signal, self.linear, self.additive, self.noise]])


def _squared_distances(a: Array, b: Array) -> Array:
    squared = (a * a).sum(axis=1)[:, None] + (b * b).sum(axis=1) - 2.0 * (a @ b.T)
    np.maximum(squared, 0.0, out=squared)
    return np.asarray(squared)


def correlation(h: Hyperparameters, a: Features, b: Features) -> Array:
    """``exp(-sum_g w_g |f_g(a) - f_g(b)|^2)``: (len(a), len(b))."""
    scale = np.exp(0.5 * h.weights)[a.groups]
    distance = _squared_distances(a.columns * scale, b.columns * scale)
    return np.exp(np.negative(distance, out=distance), out=distance)


def covariance(h: Hyperparameters, a: Features, b: Features) -> Array:
    """The kernel without noise: (len(a), len(b))."""
    k = correlation(h, a, b)
    k *= np.exp(h.signal)
    k += (np.exp(h.linear) * a.linear) @ b.linear.T
    k += (np.exp(h.additive) * a.columns) @ b.columns.T
    k += CONSTANT
    return k


def _variance(h: Hyperparameters, a: Features) -> Array:
    variance = np.full(len(a), np.exp(h.signal) + CONSTANT)
    variance += np.exp(h.linear) * (a.linear * a.linear).sum(axis=1)
    variance += np.exp(h.additive) * (a.columns * a.columns).sum(axis=1)
    return variance


def _cholesky(k: Array) -> Array:
    jitter = 0.0
    while True:
        try:
            return np.asarray(cholesky(k + jitter * np.eye(len(k)), lower=True))
        except np.linalg.LinAlgError:
            jitter = max(10.0 * jitter, 1e-8 * float(np.trace(k)) / len(k))


# Standard deviations of the normal priors on the logarithms.
_WEIGHT_SD, _SIGNAL_SD, _LINEAR_SD, _ADDITIVE_SD, _NOISE_SD = 0.7, 1.5, 1.5, 2.0, 2.0


def _negative_log_posterior(
    vector: Array, x: Features, y: Array, known_noise: Array, prior: Array, sd: Array
) -> tuple[float, Array]:
    h = Hyperparameters.unpack(vector)
    smooth = np.exp(h.signal) * correlation(h, x, x)
    line = np.exp(h.linear) * (x.linear @ x.linear.T)
    plain = np.exp(h.additive) * (x.columns @ x.columns.T)
    noise = np.exp(h.noise) + NOISE_FLOOR
    k = smooth + line + plain + CONSTANT
    k.flat[:: len(k) + 1] += noise + known_noise
    lower = _cholesky(k)
    alpha = cho_solve((lower, True), y)
    value = 0.5 * float(y @ alpha) + float(np.log(np.diag(lower)).sum())
    inverse = lapack.dpotri(lower, lower=1)[0]
    inverse = np.tril(inverse) + np.tril(inverse, -1).T
    slope = inverse - np.outer(alpha, alpha)
    gradient = np.empty_like(vector)
    weighted = slope * smooth
    f = x.columns
    column = (weighted.sum(axis=1)[:, None] * f * f - f * (weighted @ f)).sum(axis=0)
    weights = np.bincount(x.groups, weights=column, minlength=len(h.weights))
    gradient[:-4] = -np.exp(h.weights) * weights
    gradient[-4] = 0.5 * weighted.sum()
    gradient[-3] = 0.5 * (slope * line).sum()
    gradient[-2] = 0.5 * (slope * plain).sum()
    gradient[-1] = 0.5 * np.exp(h.noise) * np.trace(slope)
    off = (vector - prior) / sd
    return value + 0.5 * float(off @ off), gradient + off / sd


def fit(
    x: Features,
    y: Array,
    known_noise: Array,
    *,
    start: Hyperparameters | None = None,
    iterations: int = 40,
) -> Hyperparameters:
    """Fit the hyperparameters to targets ``y`` (n,) of about zero mean and unit variance.

    Args:
        x: The n points.
        y: (n,) targets.
        known_noise: (n,) variances known beforehand, added to the fitted one.
        start: Where the ascent begins; the prior's mode by default.
        iterations: Most iterations of L-BFGS.
    """
    groups = int(x.groups.max()) + 1 if len(x.groups) else 0
    prior = Hyperparameters.prior(groups).pack()
    others = [_SIGNAL_SD, _LINEAR_SD, _ADDITIVE_SD, _NOISE_SD]
    sd = np.concatenate([np.full(groups, _WEIGHT_SD), others])
    found = minimize(
        _negative_log_posterior,
        prior if start is None or len(start.weights) != groups else start.pack(),
        args=(x, y, known_noise, prior, sd),
        jac=True,
        method="L-BFGS-B",
        bounds=list(zip(prior - 5.0 * sd, prior + 5.0 * sd, strict=True)),
        options={"maxiter": iterations},
    )
    return Hyperparameters.unpack(np.asarray(found.x))


class GaussianProcess:
    """The posterior given points and targets, under fixed hyperparameters."""

    def __init__(self, h: Hyperparameters, x: Features, y: Array, known_noise: Array) -> None:
        """Args:
        h: The hyperparameters.
        x: The n points.
        y: (n,) targets.
        known_noise: (n,) variances known beforehand.
        """
        self.h, self.x, self._y, self._known_noise = h, x, y, known_noise
        k = covariance(h, x, x)
        k.flat[:: len(k) + 1] += np.exp(h.noise) + NOISE_FLOOR + known_noise
        self._lower = _cholesky(k)
        self._alpha = cho_solve((self._lower, True), y)

    def part(self, most: int) -> GaussianProcess:
        """The posterior given ``most`` of the points, evenly by number."""
        if len(self.x) <= most:
            return self
        rows = np.linspace(0, len(self.x) - 1, most).astype(int)
        return GaussianProcess(self.h, self.x[rows], self._y[rows], self._known_noise[rows])

    def mean(self, at: Features) -> Array:
        """Posterior mean of the noise-free function: (len(at),)."""
        return np.asarray(covariance(self.h, at, self.x) @ self._alpha)

    def predict(self, at: Features) -> tuple[Array, Array]:
        """Posterior mean and standard deviation of the noise-free function: (len(at),) each."""
        k = covariance(self.h, at, self.x)
        mean = k @ self._alpha
        half = solve_triangular(self._lower, k.T, lower=True, overwrite_b=True, check_finite=False)
        variance = _variance(self.h, at) - np.einsum("ij,ij->j", half, half)
        return np.asarray(mean), np.sqrt(np.maximum(variance, 1e-12))
