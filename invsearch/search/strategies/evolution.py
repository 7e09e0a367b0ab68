"""``evolution``: regularised evolution with several objectives."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from invsearch.errors import InputError
from invsearch.search.halving import dominance_rank
from invsearch.search.strategies.strategy import SamplerFactory, Strategy
from invsearch.space import Space
from invsearch.space.architecture import Architecture

if TYPE_CHECKING:
    from invsearch.problem.problem import Problem

__all__ = ["EVOLUTION", "EvolutionSampler"]

Member = tuple[Architecture, FrozenTrial]

_POPULATION = 24  # most of the default 32 trials: Real et al. use 100 of 20,000, where ageing pays
_TOURNAMENT = 6  # a quarter of the population, as in Real et al. (25 of 100)


class EvolutionSampler(BaseSampler):
    """Mutates a good one among the youngest trials (Real et al. 2019, with dominance as fitness).

    The population is the last ``population`` complete trials, so age removes what luck let in; the
    parent is the least dominated of ``tournament`` members drawn at random, among those that exceed
    their bounds least (Deb et al. 2002).

    Args:
        space: What may vary; it mutates the parent, so that conditions hold.
        seed: Seed of one proposal.
        population: How many trials breed.
        tournament: How many compete to be the parent.
    """

    def __init__(
        self,
        space: Space,
        seed: int,
        *,
        population: int = _POPULATION,
        tournament: int = _TOURNAMENT,
    ) -> None:
        self._space = space
        self._rng = random.Random(seed)
        self._random = RandomSampler(seed=seed)
        self._population = population
        self._tournament = tournament

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return {parameter.name: parameter.distribution() for parameter in self._space.parameters}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The parameters of a mutated parent; random ones while the population is too small."""
        complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        population = list(self._youngest(complete))
        if len(population) < self._tournament:
            return dict(self._space.sample(self._rng))
        excess = [_excess(trial) for _, trial in population]
        points = [
            (*_minimised(trial, study.directions), over)
            for (_, trial), over in zip(population, excess, strict=True)
        ]
        drawn = self._rng.sample(range(len(population)), self._tournament)
        best = min(drawn, key=lambda i: (excess[i], dominance_rank(points[i], points)))
        parent, _ = population[best]
        return dict(self._space.mutate(parent, self._rng))

    def _youngest(self, complete: Sequence[FrozenTrial]) -> Iterable[Member]:
        """The last trials that are architectures of the space, the oldest first."""
        members: list[Member] = []
        for trial in reversed(complete):
            try:
                members.append((self._space.canonical(trial.params), trial))
            except InputError:  # added to the study by hand, with other parameters
                continue
            if len(members) == self._population:
                break
        return reversed(members)

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """A parameter that the parent lacks, at random."""
        return self._random.sample_independent(study, trial, param_name, param_distribution)


def _excess(trial: FrozenTrial) -> float:
    """By how much all bounds together are exceeded."""
    return sum(max(0.0, excess) for excess in trial.constraints.values())


def _minimised(trial: FrozenTrial, directions: Sequence[StudyDirection]) -> tuple[float, ...]:
    signs: Mapping[StudyDirection, int] = {StudyDirection.MAXIMIZE: -1}
    return tuple(
        value * signs.get(direction, 1)
        for value, direction in zip(trial.values, directions, strict=True)
    )


def _samplers(problem: Problem) -> SamplerFactory:
    return lambda seed: EvolutionSampler(problem.space, seed)


EVOLUTION = Strategy(_samplers)
