"""Where trials fail: what keeps any strategy from proposing there again and again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from invsearch.runs.trial import Trial
from invsearch.space.architecture import Architecture, Value
from invsearch.space.space import Space

__all__ = ["FailingRegion"]

_FAILURES = 3  # before that a failure says nothing of its surroundings
_TRIED_EACH = 10  # of so many trials one is proposed where others failed, which may have been wrong
_ALL = 200  # trials up to which each is learnt from at once: a millisecond
_GROWTH = 1.1  # of many trials, before they are learnt from again
_ABSENT = -1.0  # of a parameter without effect, below every index and position


class FailingRegion:
    """Predicts failure by a decision tree over the trials that ended.

    What always fails is a corner of the space more often than not: one operator, all above a size.
    A tree of a few questions finds it from a dozen trials.

    Args:
        space: What may vary.
    """

    def __init__(self, space: Space) -> None:
        self._space = space
        self._tree: Any = None
        self._learnt = 0

    def likely(self, architecture: Architecture, trials: Sequence[Trial], number: int) -> bool:
        """Whether a trial would more likely fail than not.

        Args:
            architecture: Of the trial.
            trials: Those that ended, in the order of their ends.
            number: The trial's; now and then one is not predicted but tried.
        """
        if number % _TRIED_EACH == 0:
            return False
        count = len(trials)
        if count > _ALL:  # the last of a series that does not depend on when it was asked
            step = float(_ALL)
            while step * _GROWTH <= count:
                step *= _GROWTH
            count = int(step)
        if count != self._learnt:
            self._learnt = count
            self._tree = self._grown([t for t in trials[:count] if t.state != "infeasible"])
        return self._tree is not None and bool(self._tree.predict([self._row(architecture)])[0])

    def _grown(self, trials: Sequence[Trial]) -> Any:
        """The tree; None while there is nothing to tell apart."""
        failed = [trial.state == "failed" for trial in trials]
        if sum(failed) < _FAILURES or all(failed):
            return None
        from sklearn.tree import DecisionTreeClassifier

        tree = DecisionTreeClassifier(max_depth=6, random_state=0)
        return tree.fit([self._row(trial.architecture) for trial in trials], failed)

    def _row(self, architecture: Architecture) -> list[float]:
        values = architecture.to_json()
        return [self._place(name, values.get(name)) for name in self._space.names]

    def _place(self, name: str, value: Value | None) -> float:
        if value is None:
            return _ABSENT
        parameter = self._space[name]
        if parameter.choices is not None:
            return float(parameter.index(value))
        return (float(value) - parameter.low) / (parameter.high - parameter.low or 1)
