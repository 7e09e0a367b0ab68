"""The points of a space with all that is known of them before anything is evaluated."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution

from invsearch.errors import InputError
from invsearch.search.sampler.candidates import POOL, WHOLE, Candidates, CandidateSpace, unique_rows
from invsearch.search.sampler.costs import CostTable
from invsearch.search.sampler.history import Record
from invsearch.surrogate.encoding import Encoder
from invsearch.surrogate.kernel import Features
from invsearch.surrogate.warp import Warp

__all__ = ["Catalogue", "Points"]

Array = NDArray[np.float64]
Params = Mapping[str, Any]

_SAMPLE, _DRAWS = POOL // 3, 4  # four times as many each time: 60,000 points in all
_CLIMB = 50  # changes of one parameter: it ends by itself where none helps, but in huge spaces


@dataclass(frozen=True)
class Points:
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

    def __getitem__(self, which: NDArray[np.intp] | NDArray[np.bool_]) -> Points:
        return Points(self.rows[which], self.raw[which], self.features[which])


class Catalogue:
    """Rows, features and known objectives of one search space, for one set of directions.

    Attributes:
        encoder: Translates parameters and rows.
        space: Gives the valid rows.
        signs: (objectives,), 1 where minimised and -1 where maximised.
        seed: Of every draw.
    """

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
        whole: int = WHOLE,
    ) -> None:
        """Args:
        space: The parameters with their distributions.
        signs: (objectives,), 1 where minimised and -1 where maximised.
        seed: Of every draw.

        The others are those of :class:`~invsearch.search.sampler.CostAwareSampler`.
        """
        self.signs, self.seed = signs, seed
        self.encoder = Encoder(space)
        self.space = CandidateSpace(
            self.encoder,
            canonical=canonical,
            feasible=feasible,
            candidates=candidates,
            whole=whole,
        )
        self._table = CostTable(self.encoder, signs, costs, hints)

    @cached_property
    def reference(self) -> Array:
        """Rows that fix the scales: the whole space, or a sample with its ends in cost."""
        whole = self.space.whole()
        if whole is not None:
            return whole
        drawn = self.space.sample([self.seed, 0, 1], _SAMPLE)
        for attempt in range(1, _DRAWS):  # valid points may be rare
            if not len(drawn):
                drawn = self.space.sample([self.seed, 0, 1, attempt], _SAMPLE * 4**attempt)
        return unique_rows(np.concatenate([*self._ends(drawn), drawn]))

    @cached_property
    def known(self) -> tuple[int, ...]:
        """The objectives known beforehand, in order."""
        return self._table.known(self.reference[0]) if len(self.reference) else ()

    @property
    def unknown(self) -> list[int]:
        """The objectives that evaluation alone can tell, in order."""
        return [m for m in range(len(self.signs)) if m not in self.known]

    @cached_property
    def whole(self) -> tuple[Points, list[bytes]] | None:
        """Every valid point with its key, where they can be listed."""
        rows = self.space.whole()
        return None if rows is None else (self.points(rows), [row.tobytes() for row in rows])

    def points(self, rows: Array) -> Points:
        """Look up what is known of rows (n, parameters)."""
        raw = self._table.values(rows)
        warped = [warp(column) for warp, column in zip(self._warps, raw.T, strict=True)]
        linear = np.stack(warped, axis=1) if warped else np.empty((len(rows), 0))
        return Points(rows, raw, self.encoder.with_costs(rows, linear))

    def warped(self, points: Points) -> dict[int, Array]:
        """The known objectives as the hypervolume sees them: on a logarithmic scale."""
        return {m: points.features.linear[:, i] for i, m in enumerate(self.known)}

    def cost(self, rows: Array) -> Array:
        """One number that orders points by their known costs: (n,)."""
        known = len(self._table.known(rows[0]))
        return np.asarray(np.arcsinh(self._table.values(rows)[:, :known]).sum(axis=1))

    def placed(self, params: Params) -> Array:
        """The canonical row of a trial's parameters; NaN throughout where they are no point here.

        A point outside the space, forbidden or of an earlier range, is one only where it has costs.
        A part of a point is one only where all that the user gives can be asked of it: another
        worker's trial may be between two suggestions, an imported one lack a parameter.
        """
        whole = all(name in params for name in self.encoder.names)
        try:
            row = self.space.row(params)
            if not whole:
                columns = self._table.values(self.reference[:1]).shape[1]
                return row if self._table.values(row[None]).shape[1] == columns else self.nowhere
        except (KeyError, ValueError, InputError):
            return self.nowhere
        except Exception:
            if whole:
                raise
            return self.nowhere
        try:
            if not np.isnan(row).all():
                self._table.values(row[None])
        except Exception:
            if self.space.holds(row):
                raise
            return self.nowhere
        return row

    @property
    def nowhere(self) -> Array:
        """The row of a trial that is no point of the space."""
        return np.full(len(self.encoder.names), np.nan)

    def stack(self, records: Sequence[Record]) -> Array:
        """The rows of records: (n, parameters)."""
        return np.array([r.row for r in records]).reshape(-1, len(self.encoder.names))

    def agree(self, rows: Array, fixed: Params) -> NDArray[np.bool_]:
        """Which rows have the ``fixed`` values: (n,)."""
        given = self.encoder.row(fixed)
        where = ~np.isnan(given)
        return np.asarray(np.all(rows[:, where] == given[where], axis=1))

    def fix(self, rows: Array, fixed: Params) -> Array:
        """The valid rows that ``rows`` become with the ``fixed`` values."""
        given = self.encoder.row(fixed)
        where = ~np.isnan(given)
        if not where.any():
            return rows
        if not self.space.drawn_alone:
            rows = rows.copy()
            rows[:, where] = given[where]
            rows = self.space.valid(rows)
        return rows[self.agree(rows, fixed)]

    @cached_property
    def _warps(self) -> list[Warp]:
        return [Warp(column) for column in self._table.values(self.reference).T]

    def _ends(self, rows: Array) -> list[Array]:
        """The cheapest and the dearest point that single changes from ``rows`` lead to."""
        if not len(rows) or not self._table.known(rows[0]):
            return []
        ends = []
        for sign in (1.0, -1.0):
            best = rows[[int(np.argmin(sign * self.cost(rows)))]]
            for step in range(_CLIMB):
                near = self.space.neighbours(best, [self.seed, step])
                both = np.concatenate([best, near])
                leader = int(np.argmin(sign * self.cost(both)))
                if leader == 0:
                    break
                best = both[[leader]]
            ends.append(best)
        return ends
