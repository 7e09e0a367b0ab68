"""Which parameters an objective asks for where, learnt from what its trials asked for.

An objective written as Optuna's users write them (``if kind == "deep": trial.suggest_int(...)``)
says in no other way which parameters have no effect where. A model that takes what was never asked
for as what was tried learns from it, and wrongly.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState

from invsearch.surrogate.encoding import Encoder

__all__ = ["Condition", "Conditions", "canonical_by"]

Array = NDArray[np.float64]

# Below it a condition is believed, of a parameter and a parent. Believed late it costs trials;
# wrongly, the next trial that breaks it ends it. A twentieth and a thousandth found as much on
# three objectives with conditions.
_LUCK = 0.01
_RECENT = 500  # trials that are looked at: they tell as much as all, and bound the time


@dataclass(frozen=True)
class Condition:
    """A parameter is asked for where another one is, and has some of its values.

    Attributes:
        name: The parameter.
        parent: The other one.
        without: Choices of the parent with which it is not asked for.
        above: It is asked for above this value of a parent that is a range,
        below: and below this one.
    """

    name: str
    parent: str
    without: tuple[Any, ...] = ()
    above: float = -math.inf
    below: float = math.inf

    def met(self, params: Mapping[str, Any]) -> bool:
        """Whether a point's parameter is asked for."""
        if self.parent not in params:
            return False
        value = params[self.parent]
        if self.without:
            return value not in self.without
        return bool(self.above < value < self.below)


def canonical_by(
    conditions: Sequence[Condition],
) -> Callable[[dict[str, Any]], Mapping[str, Any]] | None:
    """What drops the parameters of a point that are not asked for; None where all are."""
    if not conditions:
        return None

    def canonical(params: dict[str, Any]) -> Mapping[str, Any]:
        for condition in conditions:
            if condition.name in params and not condition.met(params):
                del params[condition.name]
        return params

    return canonical


class Conditions:
    """Learns the conditions of one search space from complete trials, reading each once.

    A condition is believed where the values of one parameter part the trials that asked for
    another from those that did not, and where luck would part so few trials less than one time in a
    hundred. What a later trial contradicts is believed no more.

    Args:
        space: The parameters with their distributions.
    """

    def __init__(self, space: Mapping[str, BaseDistribution]) -> None:
        self.space = dict(space)
        self._encoder = Encoder(space)
        self._forget()

    def _forget(self) -> None:
        self._count = 0
        self._last: FrozenTrial | None = None
        self._rows: list[Array] = []

    def read(self, trials: Sequence[FrozenTrial]) -> tuple[Condition, ...]:
        """The conditions that a study's trials tell, parents before their children.

        Args:
            trials: Of the study, in order.
        """
        if self._last is not None and (
            len(trials) < self._count or trials[self._count - 1] is not self._last
        ):
            self._forget()  # another study
        while self._count < len(trials) and trials[self._count].state.is_finished():
            self._last = trials[self._count]
            self._count += 1
            if self._last.state == TrialState.COMPLETE:
                self._rows.append(self._encoder.row(self._last.params))
        rows = [
            self._encoder.row(trial.params)
            for trial in trials[self._count :]
            if trial.state == TrialState.COMPLETE
        ]
        return self._conditions(np.array((self._rows + rows)[-_RECENT:]))

    def _conditions(self, rows: Array) -> tuple[Condition, ...]:
        if not rows.size:
            return ()
        asked = ~np.isnan(rows)
        counts = asked.sum(axis=0)
        seldom = np.flatnonzero((counts > 0) & (counts < len(rows)))
        found = [self._condition(j, rows, asked) for j in seldom[np.argsort(-counts[seldom])]]
        return tuple(condition for condition in found if condition is not None)

    def _condition(self, j: int, rows: Array, asked: NDArray[np.bool_]) -> Condition | None:
        """The likeliest condition of parameter ``j``, if one is believed."""
        best, least = None, math.log(_LUCK)
        for p in range(asked.shape[1]):
            if p == j or not asked[asked[:, j], p].all():
                continue
            values, there = rows[asked[:, p], p], asked[asked[:, p], j]
            condition = self._parted(j, p, values, there)
            if condition is not None and (luck := self._luck(p, values, there)) < least:
                best, least = condition, luck
        return best

    def _parted(self, j: int, p: int, values: Array, there: NDArray[np.bool_]) -> Condition | None:
        """The condition by parent ``p``, where its values part the trials."""
        having, lacking = values[there], values[~there]
        if not len(lacking):
            return None
        name, parent = self._encoder.names[j], self._encoder.names[p]
        distribution = self._encoder.distributions[p]
        if isinstance(distribution, CategoricalDistribution):
            if np.isin(having, lacking).any():
                return None
            without = [distribution.choices[int(choice)] for choice in np.unique(lacking)]
            return Condition(name, parent, without=tuple(without))
        if lacking.max() < having.min():
            return Condition(name, parent, above=float(lacking.max() + having.min()) / 2)
        if having.max() < lacking.min():
            return Condition(name, parent, below=float(having.max() + lacking.min()) / 2)
        return None

    def _luck(self, p: int, values: Array, there: NDArray[np.bool_]) -> float:
        """Logarithm of how often luck parts so many trials so, by values of parent ``p``."""
        kinds = len(np.unique(values))
        choice = isinstance(self._encoder.distributions[p], CategoricalDistribution)
        ways = kinds * math.log(2) if choice else math.log(2 * kinds)
        n, k = len(there), int(there.sum())
        return ways - (math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1))
