"""Multi-objective successive halving: who stops at a rung."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from invsearch.metrics import Direction, Metric
from invsearch.runs.front import dominates

__all__ = ["Halving", "dominance_rank"]

Array = NDArray[np.float64]


class Halving:
    """Stops a trial that is dominated and weak among those seen at the same rung.

    The rule of asynchronous successive halving with several objectives (Schmucker et al. 2021,
    MOASHA): of the trials seen at a rung the best ``1 / reduction_factor`` by non-domination rank
    go on. A trial that nothing dominates always goes on. Only metrics taken at the same rung are
    compared. How far a bound is exceeded counts as a further objective: what breaks one
    dominates nothing that does not, however good it is.

    Args:
        objectives: Direction of each objective.
        rungs: Epochs at which trials are judged.
        reduction_factor: Of how many trials one goes on.
        grace: Number of trials that a rung must have seen before anything is stopped.
        bounded: The metrics that have bounds.
        violations: By bounded metric that is there, how far its bound is exceeded.
    """

    def __init__(
        self,
        objectives: Mapping[str, Direction],
        rungs: Sequence[int],
        reduction_factor: float = 2.0,
        grace: int = 4,
        *,
        bounded: Sequence[str] = (),
        violations: Callable[[Mapping[str, Metric]], Mapping[str, float]] = lambda metrics: {},
    ) -> None:
        self.rungs = tuple(sorted(rungs))
        self._objectives = objectives
        self._factor = reduction_factor
        self._grace = grace
        self._bounded = tuple(bounded)
        self._violations = violations
        columns = len(objectives) + len(self._bounded)
        self._seen: defaultdict[int, _Rung] = defaultdict(lambda: _Rung(columns))

    def record(
        self, number: int, rung: int, metrics: Mapping[str, Metric], turn: int | None = None
    ) -> None:
        """Remember what a trial reached at a rung.

        Args:
            number: The trial.
            rung: The rung.
            metrics: What it reached.
            turn: When it was asked to go there, for :meth:`stops`; None for its number.
        """
        if rung in self.rungs and all(name in metrics for name in self._objectives):
            signs = [1 if d == "minimize" else -1 for d in self._objectives.values()]
            values = [metrics[name].value for name in self._objectives]
            excess = self._violations(metrics)
            over = [max(0.0, excess.get(name, 0.0)) for name in self._bounded]
            self._seen[rung].record(number, np.append(np.multiply(signs, values), over), turn)

    def rung_at(self, number: int, step: int, after: int = 0) -> int | None:
        """The rung at which a trial that has come to ``step`` is judged now, if any.

        That is the step itself, or the last one before it that the trial passed without a word.

        Args:
            number: The trial.
            step: Where it is.
            after: The rung from which it was promoted, and at which it is not judged again.
        """
        if step in self.rungs:
            return step if step > after else None
        passed = [rung for rung in self.rungs if after < rung < step]
        return passed[-1] if passed and number not in self._seen[passed[-1]] else None

    def stops(self, number: int, rung: int, before: int | None = None) -> bool:
        """Whether the trial stops at this rung.

        Args:
            number: The trial, recorded at this rung before.
            rung: The rung.
            before: It is compared with trials of lower turns than this; None for every one seen.
        """
        return self._seen[rung].is_weak(number, before, self._grace, self._factor)

    def last_rung(self, number: int) -> int | None:
        """The highest rung at which a trial was seen."""
        return max((rung for rung in self.rungs if number in self._seen[rung]), default=None)

    def place(self, number: int, rung: int) -> float:
        """The share of those seen at a rung that are better than a trial that was seen there."""
        better, among = self._seen[rung].standing(number)
        return better / among

    def may_recover(self, number: int, rung: int, left: int) -> bool:
        """Whether a trial that stopped at a rung could still be let go on.

        Of one objective that is exact. Of several, a trial to come that dominates its rivals and
        not it is left aside: a checkpoint less is kept, and the trial stays stopped.

        Args:
            number: The trial.
            rung: The rung.
            left: How many trials may still come to the rung, all of them weaker at best.
        """
        better, among = self._seen[rung].standing(number)
        return better < math.ceil((among + left) / self._factor)


class _Rung:
    """What trials reached at one rung, each with the number of those that dominate it.

    The numbers are kept up to date as trials come: a judgement then looks at every trial once, not
    at every pair.
    """

    def __init__(self, objectives: int) -> None:
        self._objectives = objectives
        self._points: dict[int, Array] = {}
        self._turns: dict[int, int] = {}
        self._recount()

    def __contains__(self, number: object) -> bool:
        return number in self._points

    def record(self, number: int, point: Array, turn: int | None) -> None:
        """Take in the minimised values (objectives,) of a trial, perhaps not for the first time."""
        self._points[number] = point
        self._turns[number] = number if turn is None else turn
        if number in self._counted:
            self._recount()
        self._waiting[number] = None

    def is_weak(self, number: int, before: int | None, grace: int, factor: float) -> bool:
        """Whether a trial is dominated and not among the best one of ``factor``."""
        if number not in self._points:
            return False
        limit = math.inf if before is None else before
        self._count(limit)
        point = self._points[number]
        among = len(self._counted) + (number not in self._counted)
        rank = int(np.count_nonzero(dominates(self._values, point)))
        if among < grace or rank == 0:
            return False
        ranks = self._ranks
        if number not in self._counted:
            ranks = ranks + dominates(point, self._values)
        return int(np.count_nonzero(ranks < rank)) >= math.ceil(among / factor)

    def standing(self, number: int) -> tuple[int, int]:
        """How many trials have a lower rank of all that were seen, and how many these are."""
        self._count(math.inf)
        rank = np.count_nonzero(dominates(self._values, self._points[number]))
        return int(np.count_nonzero(self._ranks < rank)), len(self._counted)

    def _recount(self) -> None:
        self._counted: set[int] = set()
        self._highest = -1
        self._waiting = dict.fromkeys(self._points)
        self._values = np.empty((0, self._objectives))
        self._ranks = np.empty(0, dtype=np.int64)

    def _count(self, limit: float) -> None:
        """Count the trials below ``limit`` among those that the others are compared with."""
        if self._highest >= limit:
            self._recount()
        for number in [one for one in self._waiting if self._turns[one] < limit]:
            point = self._points[number]
            rank = np.count_nonzero(dominates(self._values, point))
            self._ranks = np.append(self._ranks + dominates(point, self._values), rank)
            self._values = np.concatenate([self._values, point[None]])
            self._counted.add(number)
            self._highest = max(self._highest, self._turns[number])
            del self._waiting[number]


def dominance_rank(point: Sequence[float], others: Sequence[Sequence[float]]) -> int:
    """How many of the others dominate the point (all objectives minimised)."""
    return sum(
        all(o <= p for o, p in zip(other, point, strict=True)) and tuple(other) != tuple(point)
        for other in others
    )
