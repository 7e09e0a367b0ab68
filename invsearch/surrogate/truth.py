"""What is believed of points that were observed with noise: their own values, the noise taken away.

An observation is ``y = f(x) + d + e``: ``f`` the Gaussian process, what neighbours share; ``d``
what is the point's own, of the variance that the process fits beyond the known noise; ``e`` noise
of the known variance ``V``. The search predicts ``f`` elsewhere; here ``t = f + d`` is wanted where
``y`` is known. With ``A`` the covariance of all ``y``, that of ``t`` beforehand is ``A - V``, so::

    E[t | y] = y - V A^-1 y,      Cov[t | y] = V - V A^-1 V

Where ``V`` is 0 the value is what was observed, exactly.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve

from invsearch.surrogate.gp import NOISE_FLOOR, factor
from invsearch.surrogate.kernel import Features, Kernel
from invsearch.surrogate.surrogate import Surrogate

__all__ = ["TrueValues"]

Array = NDArray[np.float64]

_NORMAL_95 = 1.959964  # standard deviations to either end: the normal's 97.5 % quantile
_JITTER = 1e-9  # of a covariance whose eigenvalues are at most 1, so that it has a root in float64


class TrueValues:
    """The posterior of one objective's true values at the points where it was observed.

    The process is given the rows ``modelled``, whose posterior is a joint one; any other row is
    predicted from these, and its own observation weighed in.

    Attributes:
        centre: (n,) posterior medians, in the objective's own unit.
        low: (n,) lower ends of the 95 % intervals.
        high: (n,) upper ends.
    """

    def __init__(
        self,
        x: Features,
        values: Array,
        variances: Array,
        *,
        modelled: NDArray[np.intp],
        offset: float | None = None,
    ) -> None:
        """Args:
        x: The n points.
        values: (n,) observed values, minimised.
        variances: (n,) variances of their noise.
        modelled: Rows that the process is given.
        offset: Where the logarithmic scale begins; None for none.
        """
        self._rows = modelled
        given = values[modelled], variances[modelled]
        surrogate = Surrogate(x[modelled], *given, offset=offset)
        self._scale = surrogate.scale
        observed = self._scale.forward(values)
        noise = self._scale.variances(values, variances)
        self._mean, self._sd = self._alone(surrogate, x, observed, noise)
        self._root = self._together(surrogate, observed[modelled], noise[modelled])
        self._values, self._exact = values, noise == 0
        self.centre = self._backward(self._mean)
        self.low, self.high = self.reach(_NORMAL_95)

    def draw(self, count: int, rng: np.random.Generator) -> Array:
        """Draws of all true values: (count, n)."""
        drawn = self._mean + self._sd * rng.standard_normal((count, len(self._mean)))
        together = rng.standard_normal((count, len(self._rows))) @ self._root.T
        drawn[:, self._rows] = self._mean[self._rows] + together
        return self._backward(drawn)

    def reach(self, deviations: float) -> tuple[Array, Array]:
        """The values so many standard deviations below and above the centre: (n,) each."""
        away = deviations * self._sd
        return self._backward(self._mean - away), self._backward(self._mean + away)

    def _backward(self, modelled: Array) -> Array:
        """Values of all rows, (..., n), in the objective's own unit; exact ones to the digit."""
        return np.where(self._exact, self._values, self._scale.backward(modelled))

    def _alone(
        self, surrogate: Surrogate, x: Features, observed: Array, noise: Array
    ) -> tuple[Array, Array]:
        """Every row's mean and deviation from a prediction and its own observation, (n,) each.

        What :meth:`_together` says of the modelled rows replaces these.
        """
        mean, sd = observed.copy(), np.zeros(len(observed))
        others = np.setdiff1d(np.flatnonzero(noise > 0), self._rows)
        if len(others):
            predicted, deviation = surrogate.process.predict(x[others])
            prior = deviation**2 + np.exp(surrogate.hyperparameters.noise) + NOISE_FLOOR
            weight = prior / (prior + noise[others])
            mean[others] += (1 - weight) * (predicted - observed[others])
            sd[others] = np.sqrt(weight * noise[others])
        return mean, sd

    def _together(self, surrogate: Surrogate, observed: Array, noise: Array) -> Array:
        """Set the modelled rows' means and deviations; a root of their covariance."""
        x = surrogate.process.x
        covariance = Kernel(surrogate.hyperparameters, x)(x)
        own = np.exp(surrogate.hyperparameters.noise) + NOISE_FLOOR
        covariance.flat[:: len(x) + 1] += own + noise
        lower, scale = factor(covariance), np.sqrt(noise)
        self._mean[self._rows] = observed - noise * cho_solve((lower, True), observed)
        inverse = cho_solve((lower, True), np.diag(scale))
        left = np.eye(len(x)) - scale[:, None] * inverse  # V^-1/2 Cov V^-1/2, between 0 and 1
        left.flat[:: len(x) + 1] += _JITTER
        root = scale[:, None] * factor(left)
        self._sd[self._rows] = np.sqrt((root**2).sum(axis=1))
        return np.asarray(root)
