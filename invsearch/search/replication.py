"""Replication: further seeds for the front's members whose place is doubtful."""

from __future__ import annotations

from collections import defaultdict

from invsearch.problem.problem import Problem
from invsearch.runs import FrontMember, Replicate, RunFolder, Trial, front
from invsearch.search.seeds import replicate_seed
from invsearch.search.study import Proposal

__all__ = ["Replication"]

_CERTAIN = 0.95  # of intervals of 95 %: a place that is surer needs no further seed
_MEMBERS = 8  # as many as one looks at; with two seeds each half of a default budget of 32


class Replication:
    """Decides, when the budget is spent, who is evaluated again.

    A member of the front that may well not belong there (``p_front`` below .95) gets up to
    ``search.replicates`` further seeds; a lucky seed that falls back leaves the front, and whoever
    takes its place has its turn. The state is the run folder alone, so a kill loses what was in
    flight. Each search replicates at most eight trials.

    Args:
        problem: What is searched.
        folder: The run's folder.
    """

    def __init__(self, problem: Problem, folder: RunFolder) -> None:
        self._problem = problem
        self._folder = folder
        self._failed: set[tuple[int, int]] = set()
        self._members: tuple[tuple[int, ...], list[FrontMember]] = ((), [])

    def due(self, limit: int) -> list[Proposal]:
        """Up to ``limit`` further seeds of different trials, the most doubtful first."""
        wanted = self._problem.file.search.replicates
        if not wanted or not self._problem.needs_workers:
            return []
        done = self._done()
        members = sorted(
            self._front(),
            key=lambda member: (member.p_front, member.trial.number),
        )
        due = []
        for member in members:
            trial = member.trial
            if len({*done, trial.number}) > _MEMBERS and trial.number not in done:
                continue
            seeds = (replicate_seed(trial.seed, count + 1) for count in range(wanted))
            left = [seed for seed in seeds if seed not in done[trial.number]]
            if left and member.p_front < _CERTAIN:
                due.append(self._proposal(trial, left[0]))
        return due[:limit]

    def give_up(self, proposal: Proposal) -> None:
        """Do not try a seed again whose evaluation failed."""
        self._failed.add((proposal.number, proposal.seed))

    def _front(self) -> list[FrontMember]:
        """The front as logged, found anew only where a log has grown: it can take seconds."""
        logs = (self._folder.trials_path, self._folder.replicates_path)
        sizes = tuple(log.stat().st_size if log.exists() else 0 for log in logs)
        if self._members[0] != sizes:
            self._members = sizes, front(self._folder.trials(), self._problem.objectives)
        return self._members[1]

    def _done(self) -> defaultdict[int, set[int]]:
        done: defaultdict[int, set[int]] = defaultdict(set)
        replicates: list[Replicate] = self._folder.replicates()
        for number, seed in [*((r.number, r.seed) for r in replicates), *self._failed]:
            done[number].add(seed)
        return done

    def _proposal(self, trial: Trial, seed: int) -> Proposal:
        measured = {name: m for name, m in trial.metrics.items() if m.source == "measured"}
        return Proposal(
            number=trial.number,
            architecture=trial.architecture,
            seed=seed,
            origin=trial.origin,
            handle=-1,
            metrics={**self._problem.known(trial.architecture), **measured},
            replicate=True,
        )
