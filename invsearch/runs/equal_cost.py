"""Families, stems and operators compared at equal cost, over all trained networks.

A linear regression of the metric on the logarithm of the cost and on the share of the network that
has each operator; the posterior of a difference is Student's t (Gelman et al., "Bayesian Data
Analysis", chapter 14).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from invsearch.runs.difference import Difference
from invsearch.runs.load import RunData
from invsearch.runs.trial import Trial

__all__ = ["KindCompared", "per_kind"]

Array = NDArray[np.float64]

_SPARE = 3  # networks beyond the coefficients: of fewer the residuals say nothing
_KINDS = ("family", "stem", "operator")  # settings whose values are compared, by their last part
_MOST = 6  # values of a setting that are compared: one line ranks no more
_FEW = 3  # of a setting that is always accounted for; of more it takes many networks


@dataclass(frozen=True)
class KindCompared:
    """The values of a setting, compared as if the whole network had the one or the other.

    Attributes:
        kind: The setting.
        ranked: Its values, the best first.
        differences: Of each value to each other, at equal cost.
        networks: How many were regressed on.
        spare: How many beyond the coefficients.
    """

    kind: str
    ranked: tuple[str, ...]
    differences: Mapping[tuple[str, str], Difference]
    networks: int
    spare: int

    def beyond_choice(self, one: str, other: str) -> float:
        """How surely two differ that were picked as the ends of a ranking.

        The largest of several differences is large though none is true: what the range of so many
        values that are alike stays below with this probability (Tukey's studentized range).
        """
        from scipy.stats import studentized_range, t

        found = self.differences[one, other]
        sd = (found.high - found.low) / (2 * float(t.ppf(0.975, self.spare)))
        ranged = math.sqrt(2) * abs(found.value) / sd
        return float(studentized_range.cdf(ranged, len(self.ranked), self.spare))


def per_kind(run: RunData, trials: Sequence[Trial], metric: str, cost: str) -> list[KindCompared]:
    """Compare the values of ``family``, ``stem`` and ``operator`` at equal cost.

    Args:
        run: Says which way the metric is better.
        trials: Those that are regressed on.
        metric: What is compared.
        cost: What is taken out.

    Returns:
        One for each setting that varies; none where there are too few networks, or where two
        settings always go together.
    """
    values = np.array([trial.metrics[metric].value for trial in trials])
    logs = np.log([trial.metrics[cost].value for trial in trials])
    found = {kind: _shares(trials, kind) for kind in _KINDS}
    for most in (_MOST, _FEW):
        shares = {kind: of for kind, of in found.items() if 2 <= len(of) <= most}
        fit = _Regression.of(logs - logs.mean(), shares, values)
        if fit is not None:
            sign = 1.0 if run.objectives[metric] == "minimize" else -1.0
            return [_compared(fit, kind, tuple(of), sign) for kind, of in shares.items()]
    return []


def _compared(fit: _Regression, kind: str, values: tuple[str, ...], sign: float) -> KindCompared:
    ranked = sorted(values, key=lambda value: sign * fit.effect(kind, value))
    pairs = itertools.permutations(values, 2)
    differences = {(one, other): fit.difference(kind, one, other, sign) for one, other in pairs}
    return KindCompared(kind, tuple(ranked), differences, fit.networks, fit.spare)


@dataclass(frozen=True)
class _Regression:
    """Coefficients with their covariance; those of a setting are against its first value."""

    estimate: Array
    covariance: Array
    places: Mapping[tuple[str, str], int]
    networks: int

    @classmethod
    def of(
        cls, logs: Array, shares: Mapping[str, Mapping[str, Array]], values: Array
    ) -> _Regression | None:
        """Least squares; None where the networks do not determine it, with some to spare."""
        columns = {(kind, v): s for kind, of in shares.items() for v, s in [*of.items()][1:]}
        design = np.stack([np.ones_like(logs), logs, *columns.values()], axis=1)
        spare = len(values) - design.shape[1]
        if not columns or spare < _SPARE or np.linalg.matrix_rank(design) < design.shape[1]:
            return None
        inverse = np.linalg.inv(design.T @ design)
        estimate = inverse @ design.T @ values
        residuals = values - design @ estimate
        covariance = np.asarray(inverse * float(residuals @ residuals) / spare)
        places = {key: 2 + place for place, key in enumerate(columns)}
        return cls(estimate, covariance, places, len(values))

    @property
    def spare(self) -> int:
        return self.networks - len(self.estimate)

    def effect(self, kind: str, value: str) -> float:
        place = self.places.get((kind, value))
        return 0.0 if place is None else float(self.estimate[place])

    def difference(self, kind: str, one: str, other: str, sign: float) -> Difference:
        """The one minus the other; with a sign of 1 it is better where that is below 0."""
        from scipy.stats import t

        contrast, spare = np.zeros(len(self.estimate)), self.spare
        for name, way in ((one, 1.0), (other, -1.0)):
            if (kind, name) in self.places:
                contrast[self.places[kind, name]] = way
        value = float(contrast @ self.estimate)
        sd = max(float(np.sqrt(contrast @ self.covariance @ contrast)), 1e-300)  # 0: met exactly
        half = float(t.ppf(0.975, spare)) * sd
        better = float(t.cdf(-sign * value / sd, spare))
        return Difference(better, value, value - half, value + half)


def _shares(trials: Sequence[Trial], kind: str) -> Mapping[str, Array]:
    """By value of a setting, the share of each network's parts that has it."""
    chosen = [
        [str(v) for name, v in trial.architecture.items() if name.rpartition(".")[2] == kind]
        for trial in trials
    ]
    if not all(chosen):
        return {}
    values = dict.fromkeys(value for parts in chosen for value in parts)
    return {
        value: np.array([parts.count(value) / len(parts) for parts in chosen])
        for value in sorted(values)
    }
