"""A Gaussian process over encoded points, its hyperparameters by maximum a posteriori."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky, lapack, solve_triangular
from scipy.optimize import minimize

from invsearch.surrogate.kernel import CONSTANT, Features, Hyperparameters, Kernel

__all__ = ["NOISE_FLOOR", "GaussianProcess", "factor", "fit"]

Array = NDArray[np.float64]

NOISE_FLOOR = 1e-6  # of a unit variance: the factorisation stays positive definite in float64

# Standard deviations of the normal priors on the logarithms: wide (0.7 is a factor of 2, 2 of
# 7), since they shall only hold what a dozen trials cannot tell.
_WEIGHT_SD, _SIGNAL_SD, _LINEAR_SD, _ADDITIVE_SD, _NOISE_SD = 0.7, 1.5, 1.5, 2.0, 2.0
# Of families, wider: that order says nothing, and that likeness says nothing, may both be so. From
# 30 random points the mean negative logarithm of a prediction's density is .42 with families and
# .73 without on NAS-Bench-Macro, .52 and 1.08 of latencies of NAS-Bench-Graph, and on made spaces
# whose parameters have nothing in common at most .03 higher.
_POOLED_WEIGHT_SD, _POOLED_SD = 2.0, 2.0
# Of a column's own factor. .7 and 1.5 found equally much on cells with paths (.992 of the volume in
# 100 trials; none at all .989), .7 no less on graphs and sums.
_LEVEL_SD = 0.7
# Points below which columns share their group's weight: at 30 trials of NAS-Bench-Macro factors of
# their own cost .0012 of the volume (20 seeds), from 40 trials on they cost nothing.
_LEVEL_POINTS = 40
# Logarithm of a noise, of a unit variance, with which the points tell little. Noise explains any
# values: a local optimum that a fit which begins there never leaves. On a space of three kinds of
# models each proposal was next to the last one then, 29 nats below a fit that began with no noise.
# The number is chosen; on the 24 made spaces of the bench the second start changed no proposal.
_ALL_NOISE = float(np.log(0.3))


def factor(k: Array) -> Array:
    """The lower Cholesky factor of a covariance, with as much jitter as it needs."""
    jitter = 0.0
    while True:
        try:
            return np.asarray(cholesky(k + jitter * np.eye(len(k)) if jitter else k, lower=True))
        except np.linalg.LinAlgError:
            jitter = max(10.0 * jitter, 1e-8 * float(np.trace(k)) / len(k))


class Posterior:
    """The negative logarithm of the hyperparameters' posterior density, and its gradient.

    Args:
        x: The n points.
        y: (n,) targets.
        known_noise: (n,) variances known beforehand, added to the fitted one.
    """

    def __init__(self, x: Features, y: Array, known_noise: Array) -> None:
        self._x, self._y, self._known_noise = x, y, known_noise
        self._line = x.linear @ x.linear.T
        single, pooled = x.columns[:, ~x.of_families], x.columns[:, x.of_families]
        self._plain, self._pool = single @ single.T, pooled @ pooled.T
        shared = np.zeros(x.columns.shape[1], dtype=bool) if x.shared is None else x.shared
        self._own = ~shared & (len(y) >= _LEVEL_POINTS)
        self.mode = Hyperparameters.prior(x)
        self.prior = self.mode.pack()
        weights = np.full(len(self.mode.weights), _WEIGHT_SD)
        weights[x.groups[x.of_families]] = _POOLED_WEIGHT_SD
        levels = np.full(len(self.mode.levels), _LEVEL_SD)
        others = [_SIGNAL_SD, _LINEAR_SD, _ADDITIVE_SD, _POOLED_SD, _NOISE_SD]
        self.sd = np.concatenate([weights, levels, others])

    def __call__(self, vector: Array) -> tuple[float, Array]:
        """At packed hyperparameters."""
        h = self.unpack(vector)
        smooth = Kernel(h, self._x).smooth(self._x)
        k = smooth + CONSTANT
        k += np.exp(h.linear) * self._line
        k += np.exp(h.additive) * self._plain
        k += np.exp(h.pooled) * self._pool
        k.flat[:: len(k) + 1] += np.exp(h.noise) + NOISE_FLOOR + self._known_noise
        lower = factor(k)
        alpha = cho_solve((lower, True), self._y, check_finite=False)
        off = (vector - self.prior) / self.sd
        value = 0.5 * float(self._y @ alpha) + float(np.log(np.diag(lower)).sum())
        gradient = self._gradient(h, smooth, _inverse(lower) - np.outer(alpha, alpha))
        return value + 0.5 * float(off @ off), gradient + off / self.sd

    def unpack(self, vector: Array) -> Hyperparameters:
        """The hyperparameters of a packed vector of this posterior's."""
        h = self.mode.unpack(vector)
        assert h is not None, "vectors come of the prior's"
        return h

    def _gradient(self, h: Hyperparameters, smooth: Array, slope: Array) -> Array:
        """From the derivative ``slope`` / 2 by the covariance to that by the hyperparameters."""
        f, groups = self._x.columns, len(h.weights)
        gradient = np.empty(groups + f.shape[1] + 5)
        weighted = slope * smooth
        column = np.einsum("ij,ij->j", f, weighted.sum(axis=1)[:, None] * f - weighted @ f)
        column *= -np.exp(h.weights[self._x.groups] + h.levels)
        gradient[:groups] = np.bincount(self._x.groups, weights=column, minlength=groups)
        gradient[groups:-5] = column * self._own
        gradient[-5] = 0.5 * weighted.sum()
        gradient[-4] = 0.5 * np.exp(h.linear) * np.vdot(slope, self._line)
        gradient[-3] = 0.5 * np.exp(h.additive) * np.vdot(slope, self._plain)
        gradient[-2] = 0.5 * np.exp(h.pooled) * np.vdot(slope, self._pool)
        gradient[-1] = 0.5 * np.exp(h.noise) * np.trace(slope)
        return gradient


def _inverse(lower: Array) -> Array:
    """The inverse of the matrix with this Cholesky factor, whose upper half is zero."""
    half = lapack.dpotri(lower, lower=1)[0]
    whole = half + half.T
    whole.flat[:: len(whole) + 1] *= 0.5
    return np.asarray(whole)


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
    posterior = Posterior(x, y, known_noise)
    prior, sd = posterior.prior, posterior.sd

    def ascent(begin: Array) -> Any:
        return minimize(
            posterior,
            begin,
            jac=True,
            method="L-BFGS-B",
            bounds=list(zip(prior - 5.0 * sd, prior + 5.0 * sd, strict=True)),
            options={"maxiter": iterations},
        )

    begin = prior if start is None else start.pack()
    found = ascent(begin if len(begin) == len(prior) else prior)
    if found.x[-1] > _ALL_NOISE:
        exact = prior.copy()
        exact[-1] -= 2 * sd[-1]
        found = min(found, ascent(exact), key=lambda one: float(one.fun))
    return posterior.unpack(np.asarray(found.x))


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
        self._kernel = Kernel(h, x)
        self._parts: dict[int, GaussianProcess] = {}
        k = self._kernel(x)
        k.flat[:: len(k) + 1] += np.exp(h.noise) + NOISE_FLOOR + known_noise
        self._lower = factor(k)
        self._alpha = cho_solve((self._lower, True), y, check_finite=False)

    def part(self, most: int) -> GaussianProcess:
        """The posterior given ``most`` of the points, evenly by number."""
        if len(self.x) <= most:
            return self
        if most not in self._parts:
            rows = np.linspace(0, len(self.x) - 1, most).astype(int)
            noise = self._known_noise[rows]
            self._parts[most] = GaussianProcess(self.h, self.x[rows], self._y[rows], noise)
        return self._parts[most]

    def imagined(self, at: Features) -> GaussianProcess:
        """The posterior once ``at`` turned out as predicted here: the same mean, narrower."""
        twin = copy.copy(self)
        half = solve_triangular(self._lower, self._kernel(at).T, lower=True, check_finite=False)
        corner = Kernel(self.h, at)(at) - half.T @ half
        corner.flat[:: len(at) + 1] += np.exp(self.h.noise) + NOISE_FLOOR
        twin._lower = np.block([[self._lower, np.zeros_like(half)], [half.T, factor(corner)]])
        twin.x = self.x.joined(at)
        twin._y = np.concatenate([self._y, self.mean(at)])
        twin._known_noise = np.concatenate([self._known_noise, np.zeros(len(at))])
        twin._alpha = np.concatenate([self._alpha, np.zeros(len(at))])
        twin._kernel, twin._parts = Kernel(self.h, twin.x), {}
        return twin

    def mean(self, at: Features) -> Array:
        """Posterior mean of the noise-free function: (len(at),)."""
        return self._kernel.times(at, self._alpha)

    def fitted(self) -> Array:
        """Posterior mean at the points themselves: (n,)."""
        noise = np.exp(self.h.noise) + NOISE_FLOOR + self._known_noise
        return np.asarray(self._y - noise * self._alpha)

    def left_out(self) -> tuple[Array, Array]:
        """What each point told beyond all the others: (n,) errors and their deviations.

        By leave-one-out cross-validation in closed form (Rasmussen and Williams, equation 5.12).
        """
        precision = np.diag(_inverse(self._lower))
        return self._alpha / precision, 1.0 / np.sqrt(precision)

    def surprises(self) -> tuple[Array, Array]:
        """What each point told beyond the points before it: (n,) errors and their deviations.

        They are the innovations of the Cholesky factor, in the order of the points: the model's own
        past errors as its present hyperparameters see them.
        """
        told = solve_triangular(self._lower, self._y, lower=True, check_finite=False)
        deviations = np.diag(self._lower).copy()
        return told * deviations, deviations

    def predict(self, at: Features) -> tuple[Array, Array]:
        """Posterior mean and standard deviation of the noise-free function: (len(at),) each."""
        mean, variance = np.empty(len(at)), self._kernel.variance(at)
        for rows in self._kernel.chunks(at):
            k = self._kernel(at[rows])
            mean[rows] = k @ self._alpha
            half = solve_triangular(
                self._lower, k.T, lower=True, overwrite_b=True, check_finite=False
            )
            variance[rows] -= np.einsum("ij,ij->j", half, half)
        return mean, np.sqrt(np.maximum(variance, 1e-12))
