"""``cost_aware``: our own sampler, which knows what can be counted and models only the rest."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from invsearch.errors import TrialError
from invsearch.search.sampler import CostAwareSampler
from invsearch.search.sampler.candidates import WHOLE
from invsearch.search.source_hints import source_hints
from invsearch.search.strategies.strategy import SamplerFactory, Strategy
from invsearch.search.trusting import TrustingSampler
from invsearch.search.warm_start import hints_from

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

    from invsearch.problem.problem import Problem

__all__ = ["COST_AWARE"]

# what is asked and checked is counted once: two and a half times the largest pool of candidates
_REMEMBERED = 50_000


def _samplers(problem: Problem) -> SamplerFactory:
    """One sampler for all proposals: it derives its seeds itself, and lives on for its cache."""
    sampler = _sampler(problem)
    return lambda seed: sampler


def _sampler(problem: Problem) -> BaseSampler:
    space, objectives = problem.space, list(problem.objectives)
    known = functools.lru_cache(_REMEMBERED)(problem.known)

    counted = {i: name for i, name in enumerate(objectives) if name in problem.known_names}

    def costs(params: Mapping[str, Any]) -> dict[int, float]:
        try:
            metrics = known(space.canonical(params))
        except TrialError:  # a trial that failed for it; any number does, it is never proposed
            return dict.fromkeys(counted, 1.0)
        return {i: metrics[name].value for i, name in counted.items()}

    def feasible(params: Mapping[str, Any]) -> bool:
        architecture = space.canonical(params)
        if space.problem(architecture) is not None:
            return False
        try:
            violations = problem.violations(known(architecture))
        except TrialError:
            return False
        return all(excess <= 0 for excess in violations.values())

    def draw(rng: random.Random, count: int) -> list[dict[str, Any]]:
        return [space.sample(rng).to_json() for _ in range(count)]

    small = space.size() <= WHOLE
    unknown = {i: name for i, name in enumerate(objectives) if i not in counted}
    runs = problem.file.search.warm_start if unknown else ()
    earlier = hints_from(runs, list(unknown.values())) if runs else None
    sources = source_hints(problem) if unknown else None

    def make(told: Callable[[Mapping[str, Any]], Sequence[float]] | None) -> CostAwareSampler:
        given = [hint for hint in (earlier, told) if hint is not None]
        return CostAwareSampler(
            {parameter.name: parameter.distribution() for parameter in space.parameters},
            costs=costs if counted else None,
            canonical=lambda params: space.canonical(params).to_json(),
            feasible=feasible,
            candidates=[a.to_json() for a in space.enumerate()] if small else draw,
            hints=(lambda params: [n for hint in given for n in hint(params)]) if given else None,
            seed=problem.file.search.seed,
        )

    if sources is None:
        return make(None)
    known_costs = costs if counted else None
    return TrustingSampler(make, sources.of, sources.count, known_costs, list(unknown))


COST_AWARE = Strategy(_samplers, avoids_failures=True)
