"""``nsga2``: Optuna's genetic algorithm with non-dominated sorting (Deb et al. 2002)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from optuna.distributions import BaseDistribution
from optuna.samplers import NSGAIISampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from invsearch.search.strategies.strategy import SamplerFactory, Strategy

if TYPE_CHECKING:
    from invsearch.problem.problem import Problem

__all__ = ["NSGA2"]

_POPULATION = 16  # two generations within the default 32 trials; Optuna's 50 would be random search


class _DeclaredNSGAII(NSGAIISampler):
    """NSGA-II told its search space, which Optuna otherwise works out anew from every trial."""

    def __init__(self, search_space: Mapping[str, BaseDistribution], seed: int) -> None:
        super().__init__(seed=seed, population_size=_POPULATION)
        self._search_space_declared = dict(search_space)

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return self._search_space_declared

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        try:
            return super().sample_relative(study, trial, search_space)
        except KeyError:  # a parent that was added to the study by hand, with other parameters
            return {}


def _samplers(problem: Problem) -> SamplerFactory:
    """Only what every architecture has can be crossed over; the rest is drawn at random."""
    space = problem.space
    always = [p for p in space.parameters if not space.conditions(p.name)]
    distributions = {parameter.name: parameter.distribution() for parameter in always}
    return lambda seed: _DeclaredNSGAII(distributions, seed)


NSGA2 = Strategy(_samplers)
