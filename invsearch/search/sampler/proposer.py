"""One proposal: from what is known of a study to the next point."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial

from invsearch.search.sampler.boxes import non_dominated
from invsearch.search.sampler.candidates import unique_rows
from invsearch.search.sampler.catalogue import Catalogue, Points
from invsearch.search.sampler.conditions import Condition, canonical_by
from invsearch.search.sampler.counted import CountedOrder
from invsearch.search.sampler.doubt import doubt, leaders
from invsearch.search.sampler.history import History
from invsearch.search.sampler.models import Models
from invsearch.search.sampler.reader import Reader
from invsearch.search.sampler.start import start_point
from invsearch.surrogate.threads import one_thread

__all__ = ["Proposed", "Proposer", "SpaceExhaustedError"]

Array = NDArray[np.float64]
Params = Mapping[str, Any]

_LEADERS, _CLIMBS = 5, 2  # a pool's best, whose neighbours are scored, twice: bounds the time
_TRIES = 5  # pools drawn before a space counts as exhausted
# Trials before the model: fewer where a known cost spreads them.
_START, _START_BLIND = 5, 8


class SpaceExhaustedError(Exception):
    """Every valid point of the space has been proposed."""


@dataclass(frozen=True)
class Proposed:
    """A point, and the hyperparameters of the models that chose it.

    Attributes:
        row: (parameters,), the point.
        hyperparameters: JSON-able, None where no model was used.
    """

    row: Array
    hyperparameters: dict[str, Any] | None = None


class Proposer:
    """Proposes points of one search space for one set of directions."""

    def __init__(
        self,
        space: Mapping[str, BaseDistribution],
        signs: Array,
        seed: int,
        learnt: tuple[Condition, ...] = (),
        *,
        start: int | None = None,
        **known: Any,
    ) -> None:
        """Args:
        space: The parameters with their distributions.
        signs: (objectives,), 1 where minimised and -1 where maximised.
        seed: Of every draw.
        learnt: Conditions of parameters, in place of a ``canonical`` in ``known``.
        start: Trials before the models are used, if not the default.
        known: As for :class:`~invsearch.search.sampler.catalogue.Catalogue`.
        """
        self._space, self._signs, self._seed = dict(space), signs, seed
        self._learnt = learnt
        if learnt:
            known["canonical"] = canonical_by(learnt)
        self._catalogue = Catalogue(space, signs, seed, **known)
        self._reader = Reader(self._catalogue)
        self._counted = CountedOrder(self._catalogue)
        self._start = start

    def fits(
        self,
        space: Mapping[str, BaseDistribution],
        signs: Array,
        learnt: tuple[Condition, ...],
    ) -> bool:
        """Whether this serves the same search space, directions and conditions."""
        same = self._space == space and self._learnt == learnt
        return same and np.array_equal(self._signs, signs)

    def read(self, trials: Sequence[FrozenTrial], skip: int = -1) -> History:
        """Sort out a study's trials (see :class:`~invsearch.search.sampler.reader.Reader`)."""
        before = self._reader.studies
        history = self._reader.read(trials, skip)
        if self._reader.studies != before:
            self._counted = CountedOrder(self._catalogue)  # the order was another study's
        return history

    def params(self, row: Array) -> dict[str, Any]:
        """The active parameters of a row."""
        return self._catalogue.encoder.params(row)

    def internal(self, row: Array, fixed: Params) -> dict[str, float]:
        """Optuna's internal values of the active parameters of a row, with those that are fixed."""
        given = self._catalogue.encoder.row(fixed)
        return self._catalogue.encoder.internal(np.where(np.isnan(given), row, given))

    def propose(self, history: History, number: int, fixed: Params) -> Proposed | None:
        """Choose the next point, or None where every point has been proposed.

        Args:
            history: The study so far.
            number: Of the trial.
            fixed: Parameters that are given already.
        """
        catalogue = self._catalogue
        given = catalogue.encoder.row_is_given(fixed)
        if not catalogue.unknown and not given and self._all_foretold(history):
            row = self._counted.next(history, number)
            return None if row is None else Proposed(row)
        free = self._free(history, number, fixed)
        if not len(free):
            return None
        begin = self._begin(history, free, number)
        if begin is not None:
            return begin
        with one_thread():
            return self._modelled(history, free, number, fixed)

    def _all_foretold(self, history: History) -> bool:
        """Whether nothing came out badly but what ``feasible`` forbids, such as enqueued points."""
        catalogue = self._catalogue
        return not len(catalogue.space.valid(catalogue.stack(history.bad)))

    def again(self, history: History, number: int, fixed: Params) -> Array:
        """A point to propose once more: of the observed front, else any valid one.

        What is fixed may be no part of a valid point: the rest is chosen as if it were free then.
        """
        rng = np.random.default_rng([self._seed, number, 3])
        for given in (fixed, {}):
            for rows in (self._parents(history), self._catalogue.reference):
                rows = self._catalogue.space.valid(rows)
                rows = rows[self._catalogue.agree(rows, given)]
                if len(rows):
                    return np.asarray(rows[rng.integers(len(rows))])
        raise SpaceExhaustedError("no valid point among all that were drawn: is one feasible?")

    def _free(self, history: History, number: int, fixed: Params) -> Points:
        """The candidates for trial ``number`` that were never proposed."""
        catalogue = self._catalogue
        if catalogue.whole is not None:
            points, keys = catalogue.whole
            return points[history.new(points.rows, keys) & catalogue.agree(points.rows, fixed)]
        rows = catalogue.reference[:0]
        for attempt in range(_TRIES):
            parents = self._parents(history)
            pool = catalogue.space.pool(self._seed, number + 7919 * attempt, parents)
            pool = unique_rows(np.concatenate([catalogue.reference[:2], pool]))  # the ends
            rows = catalogue.fix(pool, fixed)
            rows = rows[history.new(rows)]
            if len(rows):
                break
        return catalogue.points(rows)

    def _parents(self, history: History) -> Array:
        """The observed front and some next to it, from which the pool is bred."""
        records = [r for r in history.evaluated if r.feasible] or history.evaluated
        rows = self._catalogue.stack(records)
        if not records:
            return rows
        values = np.array([r.values for r in records])
        front = non_dominated(values)
        ranks = np.argsort(np.argsort(values, axis=0, kind="stable"), axis=0).sum(axis=1)
        front[np.argsort(ranks, kind="stable")[: max(0, 8 - int(front.sum()))]] = True
        return unique_rows(self._catalogue.encoder.within(rows[front]))

    def _begin(self, history: History, free: Points, number: int) -> Proposed | None:
        """A point of the start, or None once the models can be used."""
        catalogue = self._catalogue
        usual = _START if catalogue.known else _START_BLIND
        start = usual if self._start is None else self._start
        enough = history.started >= start and len(history.evaluated) >= 3
        if enough and (not catalogue.known or history.started >= start + 2):
            return None
        taken = catalogue.points(catalogue.stack(history.everything))
        cost, k = None, history.started
        if catalogue.known:
            cost, k = catalogue.cost(free.rows), max(k, 2)
            if not len(taken) or cost.min() < catalogue.cost(taken.rows).min():
                k = 0
            elif cost.max() > catalogue.cost(taken.rows).max():
                k = 1
            elif enough:
                return None
        rng = np.random.default_rng([self._seed, number, 0])
        chosen = start_point(free.features.columns, taken.features.columns, cost, k, rng)
        return Proposed(free.rows[chosen])

    def _modelled(self, history: History, free: Points, number: int, fixed: Params) -> Proposed:
        catalogue = self._catalogue
        models = Models(catalogue, history)
        acquisition = models.acquisition(free)
        doubted = doubt(history, number)
        if doubted is not None:
            next_to = self._near_front(history, free, number, fixed)
            if len(next_to):
                known = catalogue.warped(next_to)
                scores = acquisition.doubting(doubted, next_to.features, known)
                return Proposed(next_to.rows[int(np.argmax(scores))], models.hyperparameters())
        best, scores = free, acquisition.scores(free.features, catalogue.warped(free))
        for step in range(_CLIMBS if catalogue.whole is None else 0):
            leaders = best.rows[np.argsort(-scores, kind="stable")[:_LEADERS]]
            near = catalogue.space.neighbours(leaders, [self._seed, number, 4, step])
            near = near[catalogue.agree(near, fixed)]
            rows = unique_rows(np.concatenate([leaders, near]))
            best = catalogue.points(rows[history.new(rows)])
            scores = acquisition.scores(best.features, catalogue.warped(best))
        return Proposed(best.rows[int(np.argmax(scores))], models.hyperparameters())

    def _near_front(self, history: History, free: Points, number: int, fixed: Params) -> Points:
        """The points one change away from the front that were never proposed."""
        catalogue = self._catalogue
        rng = np.random.default_rng([self._seed, number, 5])
        rows = catalogue.encoder.within(catalogue.stack(history.evaluated))
        front = leaders(rows, history, rng)
        near = catalogue.space.neighbours(front, [self._seed, number, 6])
        near = near[history.new(near) & catalogue.agree(near, fixed)]
        if catalogue.whole is None:
            return catalogue.points(near)
        keys = {row.tobytes() for row in near}
        return free[np.array([row.tobytes() in keys for row in free.rows], dtype=bool)]
