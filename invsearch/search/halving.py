"""Multi-objective successive halving: who stops at a rung."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

from invsearch.metrics import Direction, Metric

__all__ = ["Halving"]


class Halving:
    """Stops a trial that is dominated and weak among those seen at the same rung.

    The rule of asynchronous successive halving with several objectives (Schmucker et al. 2021,
    MOASHA): of the trials seen at a rung the best ``1 / reduction_factor`` by non-domination rank
    go on. A trial that nothing dominates always goes on. Only metrics taken at the same rung are
    compared.

    Args:
        objectives: Direction of each objective.
        rungs: Epochs at which trials are judged.
        reduction_factor: Of how many trials one goes on.
        grace: Number of trials that a rung must have seen before anything is stopped.
    """

    def __init__(
        self,
        objectives: Mapping[str, Direction],
        rungs: Sequence[int],
        reduction_factor: float = 2.0,
        grace: int = 4,
    ) -> None:
        self.rungs = tuple(sorted(rungs))
        self._objectives = objectives
        self._factor = reduction_factor
        self._grace = grace
        self._seen: dict[int, dict[int, tuple[float, ...]]] = defaultdict(dict)

    def record(self, number: int, rung: int, metrics: Mapping[str, Metric]) -> None:
        """Remember what a trial reached at a rung."""
        if rung in self.rungs and all(name in metrics for name in self._objectives):
            self._seen[rung][number] = tuple(
                metrics[name].value * (1 if direction == "minimize" else -1)
                for name, direction in self._objectives.items()
            )

    def rung_at(self, number: int, step: int) -> int | None:
        """The rung at which a trial that has come to ``step`` is judged now, if any.

        That is the step itself, or the last one before it that the trial passed without a word.
        """
        if step in self.rungs:
            return step
        passed = [rung for rung in self.rungs if rung < step]
        return passed[-1] if passed and number not in self._seen[passed[-1]] else None

    def stops(self, number: int, rung: int, among: Sequence[int] | None = None) -> bool:
        """Whether the trial stops at this rung.

        Args:
            number: The trial, recorded at this rung before.
            rung: The rung.
            among: The trials it is compared with; None for every one seen so far.
        """
        seen = self._seen[rung]
        if number not in seen:
            return False
        points = [seen[n] for n in seen if n != number and (among is None or n in among)]
        if len(points) + 1 < self._grace:
            return False
        rank = dominance_rank(seen[number], points)
        if rank == 0:
            return False
        better = sum(dominance_rank(p, [*points, seen[number]]) < rank for p in points)
        return better >= math.ceil((len(points) + 1) / self._factor)


def dominance_rank(point: Sequence[float], others: Sequence[Sequence[float]]) -> int:
    """How many of the others dominate the point (all objectives minimised)."""
    return sum(
        all(o <= p for o, p in zip(other, point, strict=True)) and tuple(other) != tuple(point)
        for other in others
    )
