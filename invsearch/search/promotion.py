"""Promotion: which trials that stopped at a rung go on, and whose checkpoints are kept for it.

Asynchronous halving stops a trial by what it has seen so far. When more has been seen, one that it
stopped may be among the best of its rung after all: then it goes on from its checkpoint, under its
own number, as the promotion variant of MOASHA (Schmucker et al. 2021) has it. What is not
expected to come to that, as too few trials are left to put it there, loses its checkpoint at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from invsearch.runs.trial import Trial
from invsearch.search.halving import Halving

__all__ = ["MOST_PAUSED", "Paused"]

MOST_PAUSED = (
    16  # checkpoints on the disk: with AdamW's moments 3 GB for networks of RedNet-50's size
)


class Paused:
    """The trials of a run that stopped and may go on.

    Args:
        halving: What was seen at the rungs.
        discard: Removes a trial's checkpoints.
    """

    def __init__(self, halving: Halving, discard: Callable[[int], None]) -> None:
        self._halving = halving
        self._discard = discard
        self._rungs: dict[int, int] = {}

    def __contains__(self, number: object) -> bool:
        return number in self._rungs

    @property
    def numbers(self) -> list[int]:
        """The trials, in order."""
        return sorted(self._rungs)

    def add(self, trials: Iterable[Trial]) -> None:
        """Take in those that stopped at a rung and break no bound."""
        for trial in trials:
            rung = self._halving.last_rung(trial.number)
            broken = any(excess > 0 for excess in trial.constraints.values())
            if trial.state == "stopped" and rung is not None and not broken:
                self._rungs[trial.number] = rung

    def first(self) -> int | None:
        """The trial that goes on now: of the highest rung, and there the best; None for none."""
        fit = [n for n, rung in self._rungs.items() if not self._halving.stops(n, rung)]
        return min(fit, key=lambda n: (-self._rungs[n], self._place(n), n), default=None)

    def take(self, number: int) -> int:
        """Let a trial go on; the rung at which it had stopped."""
        return self._rungs.pop(number)

    def trim(self, left: int) -> None:
        """Drop those that are not expected to go on, then the weakest above the most.

        Args:
            left: How many trials of the budget have not been judged yet.
        """
        for number, rung in list(self._rungs.items()):
            if not self._halving.may_recover(number, rung, left):
                self._drop(number)
        ranked = sorted(self._rungs, key=lambda n: (self._place(n), -self._rungs[n], n))
        for number in ranked[MOST_PAUSED:]:
            self._drop(number)

    def _place(self, number: int) -> float:
        return self._halving.place(number, self._rungs[number])

    def _drop(self, number: int) -> None:
        del self._rungs[number]
        self._discard(number)
