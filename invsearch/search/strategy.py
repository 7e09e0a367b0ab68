"""Strategies: the samplers that a space file may name."""

from __future__ import annotations

import functools
import random
import zlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from invsearch.search.evolution import EvolutionSampler
from invsearch.search.sampler import CostAwareSampler
from invsearch.search.warm_start import hints_from
from invsearch.space import Space

if TYPE_CHECKING:
    from invsearch.problem.problem import Problem

__all__ = ["SamplerFactory", "derive_seed", "replicate_seed", "sampler_factory"]

SamplerFactory = Callable[[int], BaseSampler]
"""Makes the sampler of one proposal from its seed."""

ENUMERABLE = 20_000
_POPULATION = 16
_REMEMBERED = 50_000
"""Architectures whose known metrics are kept: what is asked and checked is counted once."""


def derive_seed(*parts: object) -> int:
    """A 31-bit seed that depends on every part and on nothing else (no hash randomisation)."""
    return zlib.crc32(repr(parts).encode()) & 0x7FFFFFFF


def replicate_seed(seed: int, count: int) -> int:
    """The seed of a trial's ``count``-th replicate, from 1."""
    return derive_seed(seed, "replicate", count)


def sampler_factory(problem: Problem) -> SamplerFactory:
    """The samplers of the problem's strategy.

    A sampler is made anew for every proposal, from a seed that the search derives from its own and
    the trial's number: what is proposed next then depends on the study alone, and a resumed search
    goes on as an uninterrupted one would (Optuna's samplers repeat themselves otherwise). Ours
    derives its seeds itself, and lives on for what it has cached.
    """
    strategy = problem.file.search.strategy
    if strategy == "cost_aware":
        sampler = _cost_aware(problem)
        return lambda seed: sampler
    if strategy == "nsga2":
        unconditional = _unconditional(problem.space)
        return lambda seed: _DeclaredNSGAII(unconditional, seed)
    if strategy == "tpe":
        return lambda seed: TPESampler(seed=seed, multivariate=True, group=True)
    if strategy == "evolution":
        return lambda seed: EvolutionSampler(problem.space, seed)
    return lambda seed: RandomSampler(seed=seed)


class _DeclaredNSGAII(NSGAIISampler):
    """NSGA-II told its search space, which Optuna otherwise works out anew from every trial."""

    def __init__(self, search_space: Mapping[str, BaseDistribution], seed: int) -> None:
        super().__init__(seed=seed, population_size=_POPULATION)
        self._search_space_declared = dict(search_space)

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return self._search_space_declared


def _unconditional(space: Space) -> dict[str, BaseDistribution]:
    """The parameters that every architecture has: those that can be crossed over."""
    return {p.name: p.distribution() for p in space.parameters if not space.conditions(p.name)}


def _cost_aware(problem: Problem) -> CostAwareSampler:
    space, objectives = problem.space, list(problem.objectives)
    known = functools.lru_cache(_REMEMBERED)(problem.known)

    def costs(params: Mapping[str, Any]) -> dict[int, float]:
        metrics = known(space.canonical(params))
        return {i: metrics[name].value for i, name in enumerate(objectives) if name in metrics}

    def feasible(params: Mapping[str, Any]) -> bool:
        architecture = space.canonical(params)
        if space.problem(architecture) is not None:
            return False
        violations = problem.violations(known(architecture))
        return all(excess <= 0 for excess in violations.values())

    def draw(rng: random.Random, count: int) -> list[dict[str, Any]]:
        return [space.sample(rng).to_json() for _ in range(count)]

    small = space.size() <= ENUMERABLE
    counted = costs(space.sample(random.Random(0)))
    unknown = [name for i, name in enumerate(objectives) if i not in counted]
    earlier = problem.file.search.warm_start if unknown else ()
    return CostAwareSampler(
        {parameter.name: parameter.distribution() for parameter in space.parameters},
        costs=costs if counted else None,
        canonical=lambda params: space.canonical(params).to_json(),
        feasible=feasible,
        candidates=[a.to_json() for a in space.enumerate()] if small else draw,
        hints=hints_from(earlier, unknown) if earlier else None,
        seed=problem.file.search.seed,
    )
