"""What of a space a search has not proposed yet, and what of that is worth an evaluation."""

from __future__ import annotations

import random
from collections.abc import Hashable, Iterator, Sequence

from invsearch.errors import TrialError
from invsearch.problem.problem import Problem
from invsearch.runs.trial import Trial
from invsearch.search.failing import FailingRegion
from invsearch.search.seeds import derive_seed
from invsearch.search.strategies import Strategy
from invsearch.space.architecture import Architecture

__all__ = ["Untried"]

_ENUMERABLE = 20_000  # architectures: gone through in a third of a second
_SPACE_TRIES = 5_000  # draws of a larger space: 30 ms, and they find what one in 600 is
# Infeasible proposals of a sampler before feasible ones are looked for without it: as many as two
# default budgets, and then ten for each trial, so that it goes on learning where the bound is.
_INFEASIBLE, _INFEASIBLE_EACH = 64, 10


class Untried:
    """The architectures that a search may still propose; ``in`` tells whether one is among them.

    Args:
        problem: What is searched; by its identities two architectures are the same.
        strategy: Who proposes, which may keep away from failures by itself.
    """

    def __init__(self, problem: Problem, strategy: Strategy) -> None:
        self._problem = problem
        self._heeds_failures = not (strategy.avoids_failures or strategy.enumerates)
        self._failing = FailingRegion(problem.space)
        self._taken: set[Hashable] = set()

    def __contains__(self, architecture: Architecture) -> bool:
        return self._problem.identity(architecture) not in self._taken

    def take(self, architecture: Architecture) -> None:
        """Note that an architecture was proposed, or evaluated elsewhere."""
        self._taken.add(self._problem.identity(architecture))

    def fails(self, architecture: Architecture, ended: Sequence[Trial], number: int) -> bool:
        """Whether to pass an architecture over, as others like it failed.

        Args:
            architecture: What may be proposed.
            ended: The trials that ended, in the order of their ends.
            number: The number that its trial would have.
        """
        return self._heeds_failures and self._failing.likely(architecture, ended, number)

    def mostly_infeasible(self, ended: Sequence[Trial], number: int) -> bool:
        """Whether a sampler has found too little that is feasible to be asked again."""
        infeasible = sum(trial.state == "infeasible" for trial in ended)
        return infeasible >= _INFEASIBLE + _INFEASIBLE_EACH * (number - infeasible)

    def feasible(self, ended: Sequence[Trial], number: int) -> Iterator[Architecture]:
        """What is left of the space and feasible, in order, or at random where it is large.

        What is likely to fail, or does as its costs cannot be known, comes last.
        """
        last = []
        for architecture in self._candidates(number):
            if architecture not in self:
                continue
            try:
                known = self._problem.known(architecture)
            except TrialError:
                last.append(architecture)
                continue
            if any(excess > 0 for excess in self._problem.violations(known).values()):
                continue
            if self.fails(architecture, ended, number):
                last.append(architecture)
            else:
                yield architecture
        yield from last

    def _candidates(self, number: int) -> Iterator[Architecture]:
        space = self._problem.space
        if space.size() <= _ENUMERABLE:
            return space.enumerate()
        rng = random.Random(derive_seed(self._problem.file.search.seed, "unseen", number))
        return (space.sample(rng) for _ in range(_SPACE_TRIES))
