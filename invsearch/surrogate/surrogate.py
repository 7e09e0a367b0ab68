"""What the trials say about one objective: a Gaussian process on a suitable scale."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from invsearch.surrogate.gp import GaussianProcess, fit
from invsearch.surrogate.kernel import Features, Hyperparameters
from invsearch.surrogate.outliers import doubtful, fence
from invsearch.surrogate.standard import standard

__all__ = ["FIT_POINTS", "ObjectiveScale", "Surrogate", "log_offset"]

Array = NDArray[np.float64]

FIT_POINTS = 300  # a fit is cubic in them: 27 M multiply-adds a factorisation, a few dozen a fit
_FINISH = 5  # iterations on all points, from where those on a part of them ended
_AGAIN = 10  # iterations once what is doubtful is known
_LEAST = 60  # points below which a fit on a part of them saves nothing
_EQUAL = 1e-9  # spread of values that are equal: what is foretold of others stays next to them
_NO_SAY = 1e12  # a variance where values vary by 1: nothing of theirs is believed, and it is finite


@dataclass(frozen=True)
class ObjectiveScale:
    """Maps a minimised objective to about zero mean and unit variance.

    Positive values are modelled by their logarithm: errors differ by factors, and what makes a good
    network better multiplies its error rather than shifting it.
    """

    log: bool
    offset: float
    centre: float
    spread: float

    @classmethod
    def of(cls, values: Array, offset: float | None = None) -> ObjectiveScale:
        """Choose the scale of ``values`` (n,); the logarithm where they exceed ``offset``."""
        log = offset is not None and bool(np.all(values > offset))
        base = np.log(values - offset) if log and offset is not None else values
        centre, spread = standard(base)
        return cls(log, offset if log and offset is not None else 0.0, centre, spread or _EQUAL)

    def forward(self, values: Array) -> Array:
        base = np.log(values - self.offset) if self.log else values
        return np.asarray((base - self.centre) / self.spread)

    def backward(self, modelled: Array) -> Array:
        """The values whose :meth:`forward` is ``modelled``; the order is kept."""
        base = modelled * self.spread + self.centre
        return np.asarray(np.exp(base) + self.offset if self.log else base)

    def variances(self, values: Array, variances: Array) -> Array:
        """Noise variances of ``values`` on the model's scale, to first order."""
        slope = 1.0 / (values - self.offset) if self.log else np.ones_like(values)
        with np.errstate(over="ignore", invalid="ignore"):  # 1e-160 has a slope whose square is inf
            scaled = variances * (slope / self.spread) ** 2
        return np.asarray(np.where(variances > 0, np.fmin(scaled, _NO_SAY), 0.0))


def log_offset(values: Array, *, maximised: bool) -> float | None:
    """Where the logarithmic scale of an objective starts; None where it has none.

    Positive values start at (just below) 0. A maximised score between 0 and 1, or 0 and 100, is
    taken for an accuracy and modelled by the distance to its ceiling, that is by its error.

    Args:
        values: (n,) minimised values, that is negated ones of a maximised objective.
        maximised: Whether the objective is.
    """
    if not maximised:
        return -1e-3 * float(np.median(values)) if len(values) and values.min() > 0 else None
    low, high = float((-values).min(initial=0.0)), float((-values).max(initial=0.0))
    ceiling = 1.0 if high < 1.0 else 100.0
    return -ceiling if low >= 0.0 and high < ceiling else None


class Surrogate:
    """The posterior of one objective."""

    def __init__(
        self,
        x: Features,
        values: Array,
        variances: Array,
        *,
        offset: float | None = None,
        start: Hyperparameters | None = None,
        iterations: int = 40,
        fit_points: int = FIT_POINTS,
        robust: bool = False,
    ) -> None:
        """Args:
        x: The n points with a value.
        values: (n,) values, minimised.
        variances: (n,) known noise variances in the values' own unit.
        offset: Model ``log(value - offset)`` where every value exceeds it; None models the value.
        start: Hyperparameters to begin from; None finds them on few of the points first.
        iterations: Most iterations of the fit; 0 keeps ``start``, where there is one.
        fit_points: Most points that the hyperparameters are fitted to.
        robust: Whether values far worse than the rest are not taken at their word (see
            :mod:`~invsearch.surrogate.outliers`).
        """
        if robust:
            values = _fenced(values, offset)
        self.scale = ObjectiveScale.of(values, offset)
        self._x, self._y = x, self.scale.forward(values)
        self._noise = self.scale.variances(values, variances)
        self._doubtful = np.zeros(len(values), dtype=bool)
        self.hyperparameters = self._fitted(start, iterations, fit_points)
        self.process = GaussianProcess(self.hyperparameters, x, self._y, self._noise)
        if robust:
            self._doubt(iterations, fit_points)

    def _doubt(self, iterations: int, fit_points: int) -> None:
        """Tell what is much worse than the others foretell as unsure, by as much as it is."""
        errors, deviations = self.process.left_out()
        self._doubtful = doubtful(errors, deviations)
        if not self._doubtful.any():
            return
        self._noise = self._noise + np.where(self._doubtful, errors**2, 0.0)
        if iterations:
            again = min(iterations, _AGAIN)
            self.hyperparameters = self._fitted(self.hyperparameters, again, fit_points)
        self.process = GaussianProcess(self.hyperparameters, self._x, self._y, self._noise)

    def _fitted(
        self, start: Hyperparameters | None, iterations: int, fit_points: int
    ) -> Hyperparameters:
        if start is not None and not iterations:
            return start
        few = fit_points // 3
        if start is None and min(len(self._y), fit_points) > 2 * few > _LEAST:
            start, iterations = self._fitted(None, iterations, few), _FINISH
        rows = _spread_rows(self._y, fit_points)
        x, y, noise = self._x[rows], self._y[rows], self._noise[rows]
        return fit(x, y, noise, start=start, iterations=iterations)

    @property
    def worst(self) -> float:
        """The worst value seen, on the model's scale."""
        return float(self._y.max())

    def estimates(self) -> Array:
        """Posterior means at the points themselves: (n,); values that were doubted as they are."""
        return np.where(self._doubtful, self._y, self.process.fitted())

    def with_pending(self, pending: Features) -> GaussianProcess:
        """The process with ``pending`` points observed at their posterior means (fantasies)."""
        return self.process.imagined(pending) if len(pending) else self.process


def _fenced(values: Array, offset: float | None) -> Array:
    """Values with those beyond the fence on it, on the scale that is modelled."""
    scale = ObjectiveScale.of(values, offset)
    modelled = scale.forward(values)
    most = fence(modelled)
    beyond = modelled > most
    return np.where(beyond, scale.backward(np.array([most])), values) if beyond.any() else values


def _spread_rows(y: Array, most: int) -> NDArray[np.intp]:
    """At most ``most`` rows, the lowest third and the rest evenly by number."""
    if len(y) <= most:
        return np.arange(len(y))
    best = np.argsort(y, kind="stable")[: most // 3]
    rest = np.setdiff1d(np.arange(len(y)), best)
    even = rest[np.linspace(0, len(rest) - 1, most - len(best)).astype(int)]
    return np.sort(np.concatenate([best, even]))
