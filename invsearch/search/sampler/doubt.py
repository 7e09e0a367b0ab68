"""Proposals that do not believe the model, once following it has led nowhere for a while.

A model that is wrong somewhere and sure of it never looks there again: next to the front of a cell
whose paths "none" can cut, a Gaussian process was wrong by 5 to 19 of its own deviations, and a
search that followed it alone stopped short of what evolution finds there. So
after :data:`_STALLED` trials that left the front as it was, every :data:`_EVERY`-th proposal comes
from the points one change away from the front, where evolution would look, by one of two doubts:

- the model's mean, with the deviation of its own past surprises added to its own;
- the value of the nearest trial, with that deviation: the model of who has none.

What is known of costs is believed: a neighbour counts for the part of the front that it could move.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from invsearch.search.sampler.boxes import non_dominated
from invsearch.search.sampler.ehvi import Marginal
from invsearch.search.sampler.history import History
from invsearch.surrogate.gp import GaussianProcess
from invsearch.surrogate.kernel import Features
from invsearch.surrogate.surrogate import Surrogate

__all__ = ["Doubt", "doubt", "leaders"]

Array = NDArray[np.float64]

# On cells, pairs, switches and noisy cells 4 and 3 found as much as 2 and 2 in 200 trials, and cost
# nothing in the first 100.
_STALLED, _EVERY = 4, 3
_MOST = 64  # members of the front whose neighbours are looked at: some 3,000 points
_LEAST = 1e-6  # of a deviation: where nothing ever surprised, a marginal still has a width
_FIRST = 5  # trials whose surprises say nothing: all was unknown


@dataclass(frozen=True)
class Doubt:
    """How much of a model a proposal believes.

    Attributes:
        mean: Whether its means; else the value of the nearest trial stands for them.
    """

    mean: bool

    def predict(self, surrogate: Surrogate, process: GaussianProcess, at: Features) -> Marginal:
        """What to expect at n points.

        Args:
            surrogate: The model of an objective.
            process: Its process, with what is under way.
            at: The points.
        """
        surprise = _surprise(surrogate.process)
        if not self.mean:
            return Marginal(_nearest(surrogate, at), np.full(len(at), surprise))
        mean, deviation = process.predict(at)
        return Marginal(mean, np.hypot(deviation, surprise))


def doubt(history: History, number: int) -> Doubt | None:
    """The doubt with which trial ``number`` is proposed; None where the model is followed."""
    front = _front(history)
    if (
        not len(front)
        or len(history.evaluated) - 1 - int(front.max()) < _STALLED
        or number % _EVERY
    ):
        return None
    return Doubt(mean=number // _EVERY % 2 == 0)


def leaders(rows: Array, history: History, rng: np.random.Generator) -> Array:
    """The observed front, of a large one a part: (m, parameters).

    Args:
        rows: (n, parameters), the evaluated points.
        history: The study so far.
        rng: Draws the part.
    """
    front = _front(history)
    if len(front) > _MOST:
        front = rng.choice(front, _MOST, replace=False)
    return rows[front]


def _front(history: History) -> NDArray[np.intp]:
    """The rows of the feasible trials that no other dominates, in order."""
    feasible = np.flatnonzero([record.feasible for record in history.evaluated])
    if not len(feasible):
        return feasible
    values = np.array([history.evaluated[row].values for row in feasible])
    return np.asarray(feasible[non_dominated(values)])


def _surprise(process: GaussianProcess) -> float:
    """Root mean square of the errors with which each trial was predicted by those before it."""
    errors = process.surprises()[0][_FIRST:]
    return max(float(np.sqrt(np.mean(errors**2))), _LEAST) if len(errors) else 1.0


def _nearest(surrogate: Surrogate, at: Features) -> Array:
    """The least posterior mean among the trials fewest changes away: (n,)."""
    seen, columns = surrogate.process.x.columns, at.columns
    distance = (columns**2).sum(axis=1)[:, None] - 2.0 * columns @ seen.T + (seen**2).sum(axis=1)
    near = distance <= distance.min(axis=1, keepdims=True) + 1e-6  # rounding
    return np.asarray(np.where(near, surrogate.estimates(), np.inf).min(axis=1))
