"""One proposal: from what is known of a study to the next point."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial

from invsearch.search.sampler.acquisition import Acquisition, undominated_region
from invsearch.search.sampler.boxes import non_dominated
from invsearch.search.sampler.candidates import POOL, WHOLE, Candidates, CandidateSpace, unique_rows
from invsearch.search.sampler.costs import CostTable, Warp
from invsearch.search.sampler.counted import best_first
from invsearch.search.sampler.encoding import Encoder
from invsearch.search.sampler.gp import Features, Hyperparameters
from invsearch.search.sampler.history import History, Reader, Record
from invsearch.search.sampler.start import start_point
from invsearch.search.sampler.surrogate import FIT_POINTS, Surrogate, log_offset

__all__ = ["Proposal", "Proposer", "SpaceExhaustedError"]

Array = NDArray[np.float64]
Params = Mapping[str, Any]

_BLOCK = 100
_GENERATIONS, _BROOD = 10, 120
_LEADERS = 5
_START, _START_BLIND = 5, 8
_COLD, _WARM, _WARM_MANY = 30, 10, 5
_MARGIN, _MARGIN_BLIND = 1e-3, 0.5


class SpaceExhaustedError(Exception):
    """Every valid point of the space has been proposed."""


@dataclass(frozen=True)
class Proposal:
    """A point, and the hyperparameters of the models that chose it.

    Attributes:
        row: (parameters,), the point.
        hyperparameters: JSON-able, None where no model was used.
    """

    row: Array
    hyperparameters: dict[str, Any] | None = None


@dataclass(frozen=True)
class _Points:
    """Points with all that the models need.

    Attributes:
        rows: (n, parameters).
        raw: (n, known + hints), minimised costs and hints.
        features: n of them.
    """

    rows: Array
    raw: Array
    features: Features

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, which: NDArray[np.intp] | NDArray[np.bool_]) -> _Points:
        return _Points(self.rows[which], self.raw[which], self.features[which])


class Proposer:
    """Proposes points of one search space for one set of directions."""

    def __init__(
        self,
        space: Mapping[str, BaseDistribution],
        signs: Array,
        seed: int,
        *,
        costs: Callable[[Params], Mapping[int, float]] | None = None,
        canonical: Callable[[dict[str, Any]], Params] | None = None,
        feasible: Callable[[dict[str, Any]], bool] | None = None,
        candidates: Candidates | None = None,
        hints: Callable[[Params], Sequence[float]] | None = None,
        start: int | None = None,
        whole: int = WHOLE,
    ) -> None:
        """Args:
        space: The parameters with their distributions.
        signs: (objectives,), 1 where minimised and -1 where maximised.
        seed: Of every draw.

        The others are those of :class:`~invsearch.search.sampler.CostAwareSampler`.
        """
        self._space, self._signs, self._seed = dict(space), signs, seed
        self._encoder = Encoder(space)
        self._space_points = CandidateSpace(
            self._encoder,
            canonical=canonical,
            feasible=feasible,
            candidates=candidates,
            whole=whole,
        )
        self._table = CostTable(self._encoder, signs, costs, hints)
        self._reader = Reader(self._space_points.row, len(self._encoder.names), signs)
        self._start = start
        self._order: tuple[int, Array, Iterator[int]] | None = None

    def fits(self, space: Mapping[str, BaseDistribution], signs: Array) -> bool:
        """Whether this serves the same search space and directions."""
        return self._space == space and np.array_equal(self._signs, signs)

    def read(
        self, trials: Iterable[FrozenTrial], proposed: Mapping[int, Array], skip: int = -1
    ) -> History:
        """Sort out a study's trials (see :class:`~invsearch.search.sampler.history.Reader`)."""
        return self._reader.read(trials, proposed, skip)

    def params(self, row: Array) -> dict[str, Any]:
        """The active parameters of a row."""
        return self._encoder.params(row)

    # ---- the points and what is known of them

    @cached_property
    def _reference(self) -> Array:
        """Rows that fix the scales: the whole space, or a sample with its ends in cost."""
        whole = self._space_points.whole()
        if whole is not None:
            return whole
        drawn = self._space_points.sample([self._seed, 0, 1], POOL // 3)
        return unique_rows(np.concatenate([*self._ends(drawn), drawn]))

    def _ends(self, rows: Array) -> list[Array]:
        """The cheapest and the dearest point that single changes from ``rows`` lead to."""
        if not len(rows) or not self._table.known(rows[0]):
            return []
        ends = []
        for sign in (1.0, -1.0):
            best = rows[[int(np.argmin(sign * self._cost(rows)))]]
            for step in range(50):
                near = self._space_points.neighbours(best, [self._seed, step])
                both = np.concatenate([best, near])
                leader = int(np.argmin(sign * self._cost(both)))
                if leader == 0:
                    break
                best = both[[leader]]
            ends.append(best)
        return ends

    def _cost(self, rows: Array) -> Array:
        """One number that orders points by their known costs: (n,)."""
        known = len(self._table.known(rows[0]))
        return np.asarray(np.arcsinh(self._table.values(rows)[:, :known]).sum(axis=1))

    @cached_property
    def _known(self) -> tuple[int, ...]:
        return self._table.known(self._reference[0]) if len(self._reference) else ()

    @cached_property
    def _warps(self) -> list[Warp]:
        return [Warp(column) for column in self._table.values(self._reference).T]

    def _points(self, rows: Array) -> _Points:
        warps = self._warps
        raw = self._table.values(rows)
        warped = [warp(column) for warp, column in zip(warps, raw.T, strict=True)]
        linear = np.stack(warped, axis=1) if warped else np.empty((len(rows), 0))
        groups = self._encoder.groups
        first = groups.max() + 1 if len(groups) else 0
        return _Points(
            rows,
            raw,
            Features(
                np.concatenate([self._encoder.features(rows), 0.5 * linear], axis=1),
                linear,
                np.concatenate([groups, first + np.arange(linear.shape[1])]),
            ),
        )

    @cached_property
    def _whole(self) -> tuple[_Points, list[bytes]] | None:
        rows = self._space_points.whole()
        return None if rows is None else (self._points(rows), [row.tobytes() for row in rows])

    # ---- candidates

    def _free(self, history: History, number: int, fixed: Params) -> _Points:
        """The candidates for trial ``number`` that were never proposed."""
        if self._whole is not None:
            points, keys = self._whole
            free = np.array([key not in history.seen for key in keys], dtype=bool)
            return points[free & self._agree(points.rows, fixed)]
        rows = self._reference[:0]
        for attempt in range(5):
            parents = self._parents(history)
            pool = self._space_points.pool(self._seed, number + 7919 * attempt, parents)
            if history.started < 2 * _START_BLIND:
                pool = unique_rows(np.concatenate([self._reference[:2], pool]))
            rows = self._unseen(self._fix(pool, fixed), history)
            if len(rows):
                break
        return self._points(rows)

    def _agree(self, rows: Array, fixed: Params) -> NDArray[np.bool_]:
        """Which rows have the ``fixed`` values."""
        given = self._encoder.row(fixed)
        where = ~np.isnan(given)
        return np.asarray(np.all(rows[:, where] == given[where], axis=1))

    def _fix(self, rows: Array, fixed: Params) -> Array:
        given = self._encoder.row(fixed)
        where = ~np.isnan(given)
        if not where.any():
            return rows
        rows = rows.copy()
        rows[:, where] = given[where]
        rows = self._space_points.valid(rows)
        return rows[self._agree(rows, fixed)]

    def _unseen(self, rows: Array, history: History) -> Array:
        return rows[[i for i, row in enumerate(rows) if row.tobytes() not in history.seen]]

    def _parents(self, history: History) -> Array:
        """The observed front and some next to it, from which the pool is bred."""
        records = [r for r in history.evaluated if r.feasible] or history.evaluated
        rows = self._stack(records)
        if not records:
            return rows
        values = np.array([r.values for r in records])
        front = non_dominated(values)
        ranks = np.argsort(np.argsort(values, axis=0, kind="stable"), axis=0).sum(axis=1)
        front[np.argsort(ranks, kind="stable")[: max(0, 8 - int(front.sum()))]] = True
        return unique_rows(rows[front])

    def _stack(self, records: Sequence[Record]) -> Array:
        return np.array([r.row for r in records]).reshape(-1, len(self._encoder.names))

    # ---- proposals

    def propose(self, history: History, number: int, fixed: Params) -> Proposal | None:
        """Choose the next point, or None where every point has been proposed.

        Args:
            history: The study so far.
            number: Of the trial.
            fixed: Parameters that are given already.
        """
        if len(self._known) == len(self._signs) and not self._encoder.row_is_given(fixed):
            return self._counted(history, number)
        free = self._free(history, number, fixed)
        if not len(free):
            return None
        begin = self._begin(history, free, number)
        return begin if begin is not None else self._modelled(history, free, number, fixed)

    def again(self, history: History, number: int, fixed: Params) -> Array:
        """A point to propose once more: of the observed front, else any valid one."""
        rng = np.random.default_rng([self._seed, number, 3])
        for rows in (self._parents(history), self._reference):
            rows = rows[self._agree(rows, fixed)]
            if len(rows):
                return np.asarray(rows[rng.integers(len(rows))])
        raise SpaceExhaustedError(f"the space has no valid point with {dict(fixed)}")

    def _begin(self, history: History, free: _Points, number: int) -> Proposal | None:
        """A point of the start, or None once the models can be used."""
        start = self._start or (_START if self._known else _START_BLIND)
        enough = history.started >= start and len(history.evaluated) >= 3
        if enough and (not self._known or history.started >= start + 2):
            return None
        taken = self._points(self._stack(history.everything))
        cost, k = None, history.started
        if self._known:
            cost, k = self._cost(free.rows), max(k, 2)
            if not len(taken) or cost.min() < self._cost(taken.rows).min():
                k = 0
            elif cost.max() > self._cost(taken.rows).max():
                k = 1
            elif enough:
                return None
        rng = np.random.default_rng([self._seed, number, 0])
        chosen = start_point(free.features.columns, taken.features.columns, cost, k, rng)
        return Proposal(free.rows[chosen])

    def _modelled(self, history: History, free: _Points, number: int, fixed: Params) -> Proposal:
        models = self._models(history)
        acquisition = self._acquisition(history, models, free)
        best, scores = free, acquisition.scores(free.features, self._warped(free))
        if self._whole is None:
            for step in range(2):
                leaders = np.argsort(-scores, kind="stable")[:_LEADERS]
                near = self._space_points.neighbours(
                    best.rows[leaders], [self._seed, number, 4, step]
                )
                near = near[self._agree(near, fixed)]
                rows = self._unseen(
                    unique_rows(np.concatenate([best.rows[leaders], near])), history
                )
                best = self._points(rows)
                scores = acquisition.scores(best.features, self._warped(best))
        kept = {str(m): s.hyperparameters.pack().tolist() for m, s in models.items()}
        kept["count"] = [float(len(history.evaluated))]
        return Proposal(best.rows[int(np.argmax(scores))], kept)

    def _models(self, history: History) -> dict[int, Surrogate]:
        x = self._points(self._stack(history.evaluated)).features
        values = np.array([r.values for r in history.evaluated])
        variances = np.array([r.sigma for r in history.evaluated]) ** 2
        warm = _WARM if len(values) < 150 else _WARM_MANY
        same = history.hyperparameters.get("count") == [float(len(values))]
        unknown = [m for m in range(len(self._signs)) if m not in self._known]
        models = {}
        for m in unknown:
            kept = history.hyperparameters.get(str(m))
            start = Hyperparameters.unpack(np.array(kept)) if kept else None
            offset = log_offset(values[:, m], maximised=self._signs[m] < 0)
            rows, found, variance = history.stopped_values(m, log=offset is not None)
            at = self._points(rows).features if len(rows) else x[:0]
            models[m] = Surrogate(
                x.joined(at),
                np.concatenate([values[:, m], found]),
                np.concatenate([variances[:, m], variance]),
                offset=offset,
                start=start,
                fit_points=int(FIT_POINTS / len(unknown) ** 0.5),
                iterations=_COLD if start is None else 0 if same else warm,
            )
        return models

    def _warped(self, points: _Points) -> dict[int, Array]:
        """The known objectives as the hypervolume sees them: on a logarithmic scale."""
        return {m: points.features.linear[:, i] for i, m in enumerate(self._known)}

    def _acquisition(
        self, history: History, models: Mapping[int, Surrogate], free: _Points
    ) -> Acquisition:
        feasible = self._stack([r for r in history.evaluated if r.feasible])
        pending = self._points(history.pending)
        members = self._points(np.concatenate([feasible, history.pending]))
        reference = np.empty(len(self._signs))
        everyone = self._points(np.concatenate([self._reference[:2], members.rows]))
        for m, column in self._warped(everyone).items():
            reference[m] = max(column.max(), self._warped(free)[m].max()) + _MARGIN
        for m, model in models.items():
            # beyond the worst seen where the ends of the front may not have been seen yet
            reference[m] = model.worst + (_MARGIN if self._known else _MARGIN_BLIND)
        return Acquisition(
            undominated_region(models, members.features, self._warped(members), reference),
            models,
            pending.features,
            self._limits(history),
        )

    def _limits(self, history: History) -> list[Surrogate]:
        """Models of every measured constraint that some trial violated, and of failure.

        Failure is regressed on as a label: -0.5 where a trial was evaluated, 0.5 where it failed
        (least-squares classification, Rasmussen and Williams, section 6.5).
        """
        limits = []
        for name in sorted(
            {n for r in history.evaluated for n, v in r.violations.items() if v > 0}
        ):
            records = [r for r in history.evaluated if name in r.violations]
            limits.append(self._limit(records, [r.violations[name] for r in records]))
        if history.failed:
            alive = history.evaluated + history.stopped
            labels = [-0.5] * len(alive) + [0.5] * len(history.failed)
            limits.append(self._limit(alive + history.failed, labels))
        return limits

    def _limit(self, records: Sequence[Record], values: Sequence[float]) -> Surrogate:
        x = self._points(self._stack(records)).features
        return Surrogate(x, np.array(values), np.zeros(len(values)), iterations=_WARM)

    # ---- every objective counted

    def _counted(self, history: History, number: int) -> Proposal | None:
        """The point that adds the most hypervolume, exactly."""
        for block in (number // _BLOCK, -1 - number):
            if self._order is None or self._order[0] != block:
                self._order = self._ordered(history, block)
            _, rows, order = self._order
            for i in order:
                if rows[i].tobytes() not in history.seen:
                    return Proposal(rows[i])
            if self._whole is not None:
                return None
        return None

    def _ordered(self, history: History, block: int) -> tuple[int, Array, Iterator[int]]:
        """The candidates of a block of trials, best first.

        Costs are cheap beside trials, so each block breeds several generations of its own.
        """
        seen = self._points(self._stack(history.everything))
        if self._whole is not None:
            rows = self._whole[0].rows
        else:
            before = [r for r in history.everything if 0 <= r.number < block * _BLOCK]
            rows = unique_rows(np.concatenate([self._reference[:2], self._stack(before)]))
            for generation in range(_GENERATIONS):
                parents = rows[non_dominated(self._values(self._points(rows)))]
                number = abs(block) * _GENERATIONS + generation
                bred = self._space_points.pool(self._seed, number, parents, _BROOD)
                rows = unique_rows(np.concatenate([rows, bred]))
        rows = self._unseen(rows, history)
        return block, rows, best_first(self._values(self._points(rows)), self._values(seen))

    def _values(self, points: _Points) -> Array:
        return points.features.linear[:, np.argsort(self._known)]
