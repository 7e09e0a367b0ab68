"""Replication: further seeds for the front's members whose place is doubtful."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping

from invsearch.errors import TrialError
from invsearch.metrics import Metric
from invsearch.problem.problem import Problem
from invsearch.runs import FrontMember, Replicate, RunFolder, Trial, front
from invsearch.search.seeds import replicate_seed
from invsearch.search.study import Proposal

__all__ = ["Replication"]

_CERTAIN = 0.95  # of intervals of 95 %: a place that is surer, or as surely not one, needs no seed
_EARLY_SHARE = 5  # of so many trials one is trained twice early: a sixth of a run's time
_EARLY_FROM = 16  # trials: of fewer the spare ones would be too few to say anything
_EARLY_MOST = 8  # with eight the seeds' deviation is known to a quarter
_MEMBERS = 8  # as many as one looks at; with two seeds each half of a default budget of 32


class Replication:
    """Decides, when the budget is spent, who is evaluated again.

    A member of the front of which it is not clear whether it belongs there (``p_front`` between
    .05 and .95) gets up to ``search.replicates`` further seeds, the least clear first; a lucky seed
    that falls back leaves the front, and whoever takes its place has its turn. The state is the run
    folder alone, so a kill loses what was in flight. Each search replicates at most eight trials.

    Args:
        problem: What is searched.
        folder: The run's folder.
        trials: The budget.
    """

    def __init__(self, problem: Problem, folder: RunFolder, trials: int) -> None:
        self._problem = problem
        self._folder = folder
        self._failed: set[tuple[int, int]] = set()
        self._members: tuple[tuple[int, ...], list[FrontMember]] = ((), [])
        self._early = self._early_wanted(trials)

    def early(self, limit: int, running: Collection[int] = ()) -> list[Proposal]:
        """Up to ``limit`` second seeds of the first complete trials, to learn what seeds do.

        The first trials are chosen by no result, so they tell without bias how far two seeds of one
        network are apart; those of the front, which :meth:`due` replicates, were the lucky ones.

        Args:
            limit: The most.
            running: Trials of which something is being evaluated.
        """
        if not self._early:
            return []
        done = self._done()
        complete = [t for t in self._folder.trials() if t.state == "complete"]
        first = sorted(complete, key=lambda trial: trial.number)[: self._early]
        left = [trial for trial in first if not done[trial.number]]
        if len(first) == self._early and not left:
            self._early = 0  # for the rest of this process: nothing is read again
        free = [trial for trial in left if trial.number not in running]
        return [self._proposal(t, replicate_seed(t.seed, 1)) for t in free[:limit]]

    def _early_wanted(self, trials: int) -> int:
        """How many; none where no objective is trained, so that seeds decide nothing."""
        sources, wanted = self._problem.sources(), self._problem.file.search.early_replicates
        if not any(sources.get(name) == "trained" for name in self._problem.objectives):
            return 0
        if isinstance(wanted, int):
            return wanted
        return min(_EARLY_MOST, trials // _EARLY_SHARE) if trials >= _EARLY_FROM else 0

    def due(self, limit: int) -> list[Proposal]:
        """Up to ``limit`` further seeds of different trials, the most doubtful first."""
        wanted = self._problem.file.search.replicates
        if not wanted or not self._problem.needs_workers:
            return []
        done = self._done()
        members = sorted(
            self._front(),
            key=lambda member: (abs(member.p_front - 0.5), member.trial.number),
        )
        due = []
        for member in members:
            trial = member.trial
            if len({*done, trial.number}) > _MEMBERS and trial.number not in done:
                continue
            seeds = (replicate_seed(trial.seed, count + 1) for count in range(wanted))
            left = [seed for seed in seeds if seed not in done[trial.number]]
            if left and 1 - _CERTAIN < member.p_front < _CERTAIN:
                due.append(self._proposal(trial, left[0]))
        return due[:limit]

    def give_up(self, proposal: Proposal) -> None:
        """Do not try a seed again whose evaluation failed."""
        self._failed.add((proposal.number, proposal.seed))

    def _front(self) -> list[FrontMember]:
        """The front as logged, found anew only where a log has grown: it can take seconds."""
        logs = (
            self._folder.trials_path,
            self._folder.promotions_path,
            self._folder.replicates_path,
        )
        sizes = tuple(log.stat().st_size if log.exists() else 0 for log in logs)
        if self._members[0] != sizes:
            trials, objectives = self._folder.trials(), self._problem.objectives
            beliefs = self._folder.beliefs(trials, objectives)
            self._members = sizes, front(trials, objectives, beliefs=beliefs)
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
            metrics={**self._known(trial), **measured},
            replicate=True,
        )

    def _known(self, trial: Trial) -> Mapping[str, Metric]:
        try:
            return self._problem.known(trial.architecture)
        except TrialError:  # it was known when the trial was asked for
            return {}
