"""The audit: when a search is over, the front's latencies are measured again, in turns.

In a search every network is measured when its turn comes, and some are only predicted; the machine
of the first hour is not that of the last. At the end the networks of the front, and those that the
intervals of latency cannot tell from it, are measured whole, a sample of each in turns, so that
what drifts drifts for all of them alike. These figures stand in the place of the trials' own from
then on; whom they put on the front has its turn next, until every member was measured so. A kill
loses the group that was being measured, and a finished run has nothing left to measure.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from invsearch.errors import InputError, TrialError
from invsearch.latency.lane import DisturbedError
from invsearch.metrics import Metric
from invsearch.problem.problem import Problem
from invsearch.runs import Audit, RunFolder, Trial, front
from invsearch.runs.front import comparable, dominates, oriented

__all__ = ["audit_front", "contenders"]

Say = Callable[[str], None]

_TOGETHER = 16  # networks in one process, all in memory at once; what does not fit is halved
_TIED = 8  # trials beside the front at most: as many again as one looks at
_ROUNDS = 8  # chosen: each brings trials that the one before put on the front; two are usual


def audit_front(problem: Problem, folder: RunFolder, environment: str, say: Say) -> bool:
    """Measure what can be measured of the front in turns, each network once a front.

    Args:
        problem: What was searched.
        folder: The run's folder, locked by the caller.
        environment: Id of this process's environment.
        say: Tells the user what is measured, and what cannot be.

    Returns:
        Whether something was measured.
    """
    auditors = [_Auditor(problem, folder, environment, say, name) for name in problem.audited]
    measured = False
    for _ in range(_ROUNDS):
        trials = folder.trials()
        broken_off = {number for auditor in auditors for number in auditor.unfinished()}
        chosen = [trial for trial in trials if trial.number in broken_off]
        chosen = sorted(chosen or _chosen(trials, problem, folder), key=lambda one: one.number)
        news = [auditor.measure(chosen) for auditor in auditors]
        if not any(news):
            break
        measured = True
    return measured


def _chosen(trials: Sequence[Trial], problem: Problem, folder: RunFolder) -> list[Trial]:
    """The front, and who may belong there by the intervals of latency."""
    beliefs = folder.beliefs(trials, problem.objectives)
    found = front(trials, problem.objectives, beliefs=beliefs, draws=1)
    members = [member.trial for member in found]
    return [*members, *contenders(trials, members, problem)]


def contenders(trials: Sequence[Trial], members: Sequence[Trial], problem: Problem) -> list[Trial]:
    """Trials that no member dominates where its latencies are at their ends, and theirs too.

    Args:
        trials: Of the run.
        members: Of the front.
        problem: What was searched.
    """
    audited = [name for name in problem.objectives if name in problem.audited]
    if not audited or not members:
        return []
    on_front = {member.number for member in members}
    others = [t for t in comparable(trials, problem.objectives) if t.number not in on_front]
    worst = oriented([_at_end(one, audited, "high") for one in members], problem.objectives)
    best = oriented([_at_end(one, audited, "low") for one in others], problem.objectives)
    free = [not dominates(worst, own).any() for own in best]
    return [trial for trial, kept in zip(others, free, strict=True) if kept][:_TIED]


def _at_end(trial: Trial, names: Sequence[str], end: str) -> Trial:
    """The trial with its latencies at an end of their intervals."""
    found = {}
    for name in names:
        value = getattr(trial.metrics[name], end)
        if value is not None:
            found[name] = replace(trial.metrics[name], value=value)
    return trial.with_metrics(found)


class _Auditor:
    """Measures one latency of the trials of a run in turns."""

    def __init__(
        self, problem: Problem, folder: RunFolder, environment: str, say: Say, name: str
    ) -> None:
        self._problem, self._folder, self._name = problem, folder, name
        self._environment, self._say = environment, say
        self._given_up = False

    def measure(self, chosen: Sequence[Trial]) -> bool:
        """Measure these where one of them was not measured in turns yet; whether it was done."""
        trials = [trial for trial in chosen if self._name in trial.metrics]
        turn = tuple(trial.number for trial in trials)
        if self._given_up or self._settled(trials):
            return False
        reason = self._problem.unreached(self._name, [t.metrics[self._name] for t in trials])
        if reason is not None:
            return self._give_up(reason)
        done = {one.number for one in self._audits() if one.turn == turn}
        left = [trial for trial in trials if trial.number not in done]
        self._say(f"audit: {self._name} of {len(left)} networks, measured in turns")
        groups = math.ceil(len(left) / _TOGETHER)
        return all(self._measure(left[i::groups], turn) for i in range(groups))

    def unfinished(self) -> tuple[int, ...]:
        """The trials whose turn a kill broke off."""
        audits = self._audits()
        turn = audits[-1].turn if audits else ()
        return turn if {one.number for one in audits if one.turn == turn} < {*turn} else ()

    def _audits(self) -> list[Audit]:
        return [one for one in self._folder.audits() if self._name in one.metrics]

    def _settled(self, trials: Sequence[Trial]) -> bool:
        """Whether nothing is to be found out: a measured network alone has nobody to take turns."""
        if len(trials) < 2 and all(t.metrics[self._name].source == "measured" for t in trials):
            return True
        done = {one.number for one in self._audits()}
        return not self.unfinished() and all(trial.number in done for trial in trials)

    def _measure(self, group: Sequence[Trial], turn: tuple[int, ...]) -> bool:
        started = _now()
        try:
            found = self._problem.audit(self._name, [trial.architecture for trial in group])
        except (TrialError, InputError) as error:
            if len(group) == 1 or isinstance(error, DisturbedError):
                return self._give_up(str(error))
            halves = group[::2], group[1::2]  # all at once may be more than a device holds
            return all(self._measure(half, turn) for half in halves)
        numbers = [trial.number for trial in group]
        told = [_told(t, metric, numbers) for t, metric in zip(group, found, strict=True)]
        span = started, _now(), self._environment
        self._folder.append_audits(
            [
                Audit(number, turn, {self._name: one}, self._excess(one), *span)
                for number, one in zip(numbers, told, strict=True)
            ]
        )
        return True

    def _excess(self, metric: Metric) -> dict[str, float]:
        return self._problem.violations({self._name: metric})

    def _give_up(self, reason: str) -> bool:
        self._given_up = True
        self._say(f"audit: {self._name} was not measured again: {reason}")
        return False


def _told(trial: Trial, metric: Metric, numbers: Sequence[int]) -> Metric:
    """The metric with what the trial had before, and trials by their numbers."""
    before = trial.metrics[metric.name]
    first = before.detail.get("before", _kept(before))
    predicted = before.detail.get("predicted")
    if predicted is None and before.source == "predicted":
        predicted = _kept(before)
    detail = {
        **metric.detail,
        "before": first,
        "in_turns_with": [number for number in numbers if number != trial.number],
        "ties": [numbers[place] for place in metric.detail.get("ties", ())],
        **({} if predicted is None else {"predicted": predicted}),
    }
    return replace(metric, detail=detail)


def _kept(metric: Metric) -> dict[str, object]:
    ends = {"low": metric.low, "high": metric.high}
    return {"value": metric.value, **ends, "source": metric.source}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
