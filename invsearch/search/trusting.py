"""A sampler that takes a hint only while the search's own trials bear it out.

A hint that knows nothing is not free: the model fits it to a handful of noisy trials, and searches
took a tenth more trials for it. So each hint is compared with what the trials reached, the known
costs regressed out of both by rank, and counts only where they agree by more than chance does one
time in twenty. One time in three was tried and helped nothing: what is trusted by luck is what
misleads. ``python -m invsearch.bench.hints`` compares with hints that are always taken.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

__all__ = ["TrustingSampler", "trusted"]

Array = NDArray[np.float64]
Params = Mapping[str, Any]
Hints = Callable[[Params], Sequence[float]]

_DEVIATIONS = 2.0  # of a correlation that is chance: it is exceeded one time in twenty


class TrustingSampler(BaseSampler):
    """Hands each proposal to a sampler that knows the hints that are trusted then.

    What is trusted follows from the study's complete trials alone, so a resumed search goes on as
    it would have. A hint that is not trusted is a constant, so that models keep their shape.

    Args:
        make: Makes a sampler from hints.
        hints: Always as many numbers of a point.
        count: How many.
        costs: The known costs of a point, by index of the objective.
        unknown: Indices of the objectives that hints are about.
    """

    def __init__(
        self,
        make: Callable[[Hints], BaseSampler],
        hints: Hints,
        count: int,
        costs: Callable[[Params], Mapping[int, float]] | None,
        unknown: Sequence[int],
    ) -> None:
        self._make, self._hints, self._costs, self._count = make, hints, costs, count
        self._unknown = tuple(unknown)
        self._samplers: dict[tuple[bool, ...], BaseSampler] = {}
        self._known: dict[int, tuple[list[float], list[float]]] = {}

    def reseed_rng(self) -> None:
        """Do nothing: proposals follow from the seed and the trial's number."""

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """The parameters that are proposed together."""
        return self._sampler(study).infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Propose the parameters of ``trial`` with the hints that are trusted now."""
        return self._sampler(study).sample_relative(study, trial, search_space)

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Draw a parameter outside the search space."""
        sampler = self._sampler(study)
        return sampler.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        """Tell every sampler that a trial has ended."""
        for sampler in self._samplers.values():
            sampler.after_trial(study, trial, state, values)

    def _sampler(self, study: Study) -> BaseSampler:
        trust = self._trust(study)
        if trust not in self._samplers:
            hints = self._hints
            self._samplers[trust] = self._make(
                lambda params: [h if t else 0.0 for h, t in zip(hints(params), trust, strict=True)]
            )
        return self._samplers[trust]

    def _trust(self, study: Study) -> tuple[bool, ...]:
        trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        if not trials:
            return (False,) * self._count
        told = [self._of(trial) for trial in trials]
        hints = np.array([hint for hint, _ in told]).reshape(len(trials), self._count)
        costs = np.array([cost for _, cost in told]).reshape(len(trials), -1)
        found = np.zeros(self._count, dtype=bool)
        for index in self._unknown:
            sign = -1.0 if study.directions[index] == StudyDirection.MAXIMIZE else 1.0
            values = np.array([sign * trial.values[index] for trial in trials])
            found |= trusted(hints, values, costs)
        return tuple(found.tolist())

    def _of(self, trial: FrozenTrial) -> tuple[list[float], list[float]]:
        known = self._known.get(trial.number)
        if known is None:
            costs = self._costs(trial.params) if self._costs is not None else {}
            known = (list(self._hints(trial.params)), [costs[m] for m in sorted(costs)])
            self._known[trial.number] = known
        return known


def trusted(hints: Array, values: Array, costs: Array) -> NDArray[np.bool_]:
    """Which hints the values bear out: (hints,).

    Args:
        hints: (n, hints).
        values: (n,), finite.
        costs: (n, costs), which are regressed out of both, by rank.
    """
    n, ranks = len(values), np.column_stack([np.ones(len(values)), *map(_ranks, costs.T)])
    free = n - ranks.shape[1] - 1
    if free < 1:
        return np.zeros(hints.shape[1], dtype=bool)
    rest = _rest(_ranks(values), ranks)
    found = []
    for column in hints.T:
        own = _rest(_ranks(column), ranks)
        size = float(np.linalg.norm(own) * np.linalg.norm(rest))
        correlation = float(own @ rest) / size if size > 1e-9 else 0.0
        clipped = min(abs(correlation), 1 - 1e-9)
        found.append(math.atanh(clipped) * math.sqrt(free) > _DEVIATIONS)  # Fisher's z
    return np.array(found, dtype=bool)


def _ranks(values: Array) -> Array:
    from scipy.stats import rankdata

    return np.asarray(rankdata(values), dtype=np.float64)


def _rest(values: Array, design: Array) -> Array:
    """What a linear map of the design leaves."""
    return np.asarray(values - design @ np.linalg.lstsq(design, values, rcond=None)[0])
