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
from optuna.distributions import CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState

from invsearch.surrogate.encoding import Encoder

__all__ = ["Condition", "canonical_by", "learnt_conditions"]

Array = NDArray[np.float64]

# Below it a condition is believed, of a parameter and a parent. Believed late it costs trials;
# wrongly, the next trial that breaks it ends it. Chosen between .001, which found least of three on
# one of three objectives with conditions (16 seeds), and .05, which found less on another.
_LUCK = 0.01
_RECENT = 500  # complete trials that are looked at: chosen, they take some milliseconds


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
) -> Callable[[dict[str, Any]], Mapping[str, Any]]:
    """What drops the parameters of a point that are not asked for."""

    def canonical(params: dict[str, Any]) -> Mapping[str, Any]:
        for condition in conditions:
            if condition.name in params and not condition.met(params):
                del params[condition.name]
        return params

    return canonical


def learnt_conditions(encoder: Encoder, trials: Sequence[FrozenTrial]) -> tuple[Condition, ...]:
    """The conditions that a study's trials tell, parents before their children.

    A condition is believed where the values of one parameter part the complete trials that asked
    for another from those that did not, and where luck would part so few trials less than one time
    in a hundred. What a later trial contradicts is believed no more.

    Args:
        encoder: Of the study's search space.
        trials: Of the study, in order.
    """
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    rows = encoder.rows(trial.params for trial in complete[-_RECENT:])
    asked = ~np.isnan(rows)
    counts = asked.sum(axis=0)
    seldom = np.flatnonzero((counts > 0) & (counts < len(rows)))
    found = [_condition(encoder, j, rows, asked) for j in seldom[np.argsort(-counts[seldom])]]
    return tuple(condition for condition in found if condition is not None)


def _condition(encoder: Encoder, j: int, rows: Array, asked: NDArray[np.bool_]) -> Condition | None:
    """The likeliest condition of parameter ``j``, if one is believed."""
    best, least = None, math.log(_LUCK)
    for p in range(asked.shape[1]):
        if p == j or not asked[asked[:, j], p].all():
            continue
        values, there = rows[asked[:, p], p], asked[asked[:, p], j]
        condition = _parted(encoder, j, p, values, there)
        if condition is not None and (luck := _luck(encoder, p, values, there)) < least:
            best, least = condition, luck
    return best


def _parted(
    encoder: Encoder, j: int, p: int, values: Array, there: NDArray[np.bool_]
) -> Condition | None:
    """The condition by parent ``p``, where its values part the trials."""
    having, lacking = values[there], values[~there]
    if not len(lacking):
        return None
    name, parent = encoder.names[j], encoder.names[p]
    distribution = encoder.distributions[p]
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


def _luck(encoder: Encoder, p: int, values: Array, there: NDArray[np.bool_]) -> float:
    """Logarithm of how often luck parts so many trials so, by values of parent ``p``."""
    kinds = len(np.unique(values))
    choice = isinstance(encoder.distributions[p], CategoricalDistribution)
    ways = kinds * math.log(2) if choice else math.log(2 * kinds)
    n, k = len(there), int(there.sum())
    return ways - (math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1))
