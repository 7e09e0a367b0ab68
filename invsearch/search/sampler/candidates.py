"""Where proposals come from: the whole space while it is small, else a pool around the front."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from invsearch.errors import InputError
from invsearch.surrogate.encoding import Encoder, count_of, levels_of, snap

__all__ = ["POOL", "WHOLE", "CandidateSpace", "Candidates", "unique_rows"]

Array = NDArray[np.float64]
Params = Mapping[str, Any]
Candidates = Sequence[Params] | Callable[[random.Random, int], Iterable[Params]]

WHOLE = 20_000  # points whose features fit in memory and are scored for every proposal
POOL = 2_100  # 700 drawn, 700 crossed, 700 mutated, where the whole is too many
_MOST_LEVELS = 2.0**62  # of a range: more are no int64, and each a float of many
_FAMILY = 16  # proposals that share what is drawn, so that their costs are counted once
_NEIGHBOURS = 6  # values tried of a parameter: all of a choice, the nearest of a long range
_MANY = 150  # trials after which the front is known well enough to breed less and look around it


def unique_rows(rows: Array) -> Array:
    """``rows`` without repetitions, in order of first appearance (NaN equals NaN)."""
    if not rows.size:
        return rows[:1]
    keys = np.ascontiguousarray(rows).view(np.dtype((np.void, rows[0].nbytes))).ravel()
    return np.asarray(rows[np.sort(np.unique(keys, return_index=True)[1])])


def _draw(distribution: BaseDistribution, rng: np.random.Generator, n: int) -> Array:
    """``n`` internal values, uniform on the distribution's own (logarithmic) scale."""
    if isinstance(distribution, CategoricalDistribution):
        return rng.integers(len(distribution.choices), size=n).astype(float)
    assert isinstance(distribution, (FloatDistribution, IntDistribution))
    low, high, step = distribution.low, distribution.high, distribution.step
    if distribution.log:
        half = 0.5 if isinstance(distribution, IntDistribution) else 0.0
        return snap(distribution, np.exp(rng.uniform(np.log(low - half), np.log(high + half), n)))
    if step is None:
        return rng.uniform(low, high, n)
    count = count_of(distribution)
    levels = rng.integers(int(count), size=n) if count < _MOST_LEVELS else rng.uniform(0, count, n)
    return snap(distribution, low + step * levels.astype(float))


def _step(distribution: BaseDistribution, value: Array, rng: np.random.Generator) -> Array:
    """A step of about a tenth of a range from ``value``, one grid step at least."""
    assert isinstance(distribution, (FloatDistribution, IntDistribution))
    low, high = float(distribution.low), float(distribution.high)
    size = 0.1 * rng.standard_normal(len(value))
    if distribution.log:
        moved = snap(distribution, np.exp(np.log(value) + size * np.log(high / low)))
    else:
        moved = snap(distribution, value + size * (high - low))
    least = np.sign(size) * (distribution.step or 0.0)
    return np.where(moved == value, snap(distribution, value + least), moved)


class CandidateSpace:
    """The valid canonical points of a search space.

    Attributes:
        encoder: Translates parameters and rows.
        drawn_alone: Whether no point is known to be valid but those that are drawn.
    """

    def __init__(
        self,
        encoder: Encoder,
        *,
        canonical: Callable[[dict[str, Any]], Params] | None = None,
        feasible: Callable[[dict[str, Any]], bool] | None = None,
        candidates: Candidates | None = None,
        whole: int = WHOLE,
    ) -> None:
        self.encoder = encoder
        self._canonical, self._feasible, self._candidates = canonical, feasible, candidates
        self._limit = whole
        self._valid: dict[bytes, Array | None] = {}
        self._possible: dict[bytes, bool] = {}
        self._whole: Array | None = None
        self._enumerated = False
        # a function that draws valid points says of no other point whether it is one
        self.drawn_alone = callable(candidates) and feasible is None

    def row(self, params: Params) -> Array:
        """The canonical row of ``params``."""
        return self.encoder.row(params if self._canonical is None else self._canonical({**params}))

    def valid(self, rows: Array) -> Array:
        """The canonical, feasible and distinct among ``rows``."""
        if self._canonical is None and self._feasible is None:
            return unique_rows(rows)
        if len(self._valid) > 200_000:
            self._valid.clear()
            self._possible.clear()
        kept = []
        for row in rows:
            key = row.tobytes()
            if key not in self._valid:
                self._valid[key] = self._check(row)
            found = self._valid[key]
            if found is not None:
                kept.append(found)
        return unique_rows(np.array(kept).reshape(-1, rows.shape[1]))

    def holds(self, row: Array) -> bool:
        """Whether a canonical row is known to be a valid point: in range and not forbidden."""
        if self.drawn_alone or not np.array_equal(
            self.encoder.within(row[None])[0], row, equal_nan=True
        ):
            return False
        if self._candidates is not None and not callable(self._candidates):
            whole = self.whole()
            return whole is not None and row.tobytes() in {other.tobytes() for other in whole}
        return bool(len(self.valid(row[None])))

    def _check(self, row: Array) -> Array | None:
        params = self.encoder.params(row)
        if self._canonical is not None:
            params = dict(self._canonical(params))
            row = self.encoder.row(params)
        key = row.tobytes()
        if self._feasible is not None and key not in self._possible:
            self._possible[key] = self._feasible(params)
        return row if self._possible.get(key, True) else None

    def whole(self) -> Array | None:
        """Every valid point, where they can be listed: (n, parameters)."""
        if not self._enumerated:
            self._enumerated = True
            self._whole = self._enumerate()
        return self._whole

    def _enumerate(self) -> Array | None:
        if self._candidates is not None and not callable(self._candidates):
            return self.valid(self._given(self._candidates))
        if (
            self.drawn_alone
            or np.prod([count_of(d) for d in self.encoder.distributions]) > self._limit
        ):
            return None
        mesh = np.meshgrid(*[levels_of(d) for d in self.encoder.distributions], indexing="ij")
        return self.valid(np.stack([axis.ravel() for axis in mesh], axis=1))

    def _given(self, points: Sequence[Params]) -> Array:
        """The rows of ``candidates``: (n, parameters).

        Raises:
            InputError: If one has a value that the space does not.
        """
        rows, names = self.encoder.rows(points), self.encoder.names
        given = np.array([[name in point for name in names] for point in points])
        strange = np.argwhere(given & (self.encoder.within(rows) != rows))
        for i, j in strange[:1]:
            raise InputError(
                f"candidates: {names[j]}={points[i][names[j]]!r} of {dict(points[i])} is no value"
                f" of the search space's {self.encoder.distributions[j]}"
            )
        return rows

    def sample(self, seed: Sequence[int], n: int) -> Array:
        """About ``n`` valid random points (fewer where many draws coincide or are infeasible)."""
        rng = np.random.default_rng(seed)
        if callable(self._candidates):
            points = self._candidates(random.Random(int(rng.integers(2**62))), n)
            return self.valid(self.encoder.rows(points))
        draws = [_draw(d, rng, n) for d in self.encoder.distributions]
        return self.valid(np.stack(draws, axis=1))

    def pool(self, seed: int, number: int, parents: Array, n: int = POOL) -> Array:
        """About ``n`` points: a third each random, crossed and mutated from ``parents``.

        Args:
            seed: Of the sampler.
            number: Of the trial; the random third changes every few trials only, and of the others
                there are half as many once the trials are many.
            parents: (m, parameters), the front.
            n: Points before invalid and repeated ones are dropped.
        """
        third = n // 3
        bare = self.drawn_alone or not len(parents)
        drawn = self.sample([seed, number // _FAMILY, 1], n if bare else third)
        if bare:
            return drawn
        bred = third if number < _MANY else third // 2
        return unique_rows(
            np.concatenate([drawn, self.offspring([seed, number, 2], parents, bred)])
        )

    def offspring(self, seed: Sequence[int], parents: Array, n: int) -> Array:
        """About ``n`` valid points crossed and ``n`` mutated from ``parents`` (m, parameters)."""
        if self.drawn_alone:
            return parents[:0]
        rng = np.random.default_rng(seed)
        mothers = parents[rng.integers(len(parents), size=2 * n)]
        crossed = self._cross(mothers[:n], parents, rng)
        mutated = self._mutate(mothers[n:], rng)
        return self.valid(np.concatenate([crossed, mutated]))

    def _filled(self, rows: Array, rng: np.random.Generator) -> Array:
        """``rows`` with random values for inactive parameters, which a change may activate."""
        rows = rows.copy()
        for j, distribution in enumerate(self.encoder.distributions):
            absent = np.isnan(rows[:, j])
            rows[absent, j] = _draw(distribution, rng, int(absent.sum()))
        return rows

    def _cross(self, mothers: Array, parents: Array, rng: np.random.Generator) -> Array:
        fathers = parents[rng.integers(len(parents), size=len(mothers))]
        take = rng.random(mothers.shape) < 0.5
        return self._filled(np.where(take, fathers, mothers), rng)

    def _mutate(self, rows: Array, rng: np.random.Generator) -> Array:
        """One to three parameters of each row redrawn, or moved a little where they are ranges."""
        rows = self._filled(rows, rng)
        d = rows.shape[1]
        changes = np.minimum(rng.geometric(0.6, size=len(rows)), min(3, d))
        chosen = np.argsort(rng.random(rows.shape), axis=1) < changes[:, None]
        for j, distribution in enumerate(self.encoder.distributions):
            hit = chosen[:, j]
            fresh = _draw(distribution, rng, int(hit.sum()))
            if not isinstance(distribution, CategoricalDistribution):
                near = _step(distribution, rows[hit, j], rng)
                fresh = np.where(rng.random(len(fresh)) < 0.7, near, fresh)
            rows[hit, j] = fresh
        return rows

    def neighbours(self, rows: Array, seed: Sequence[int]) -> Array:
        """The valid points one parameter away from any of ``rows`` (ranges: a few steps away)."""
        if self.drawn_alone:
            return rows[:0]
        rng = np.random.default_rng(seed)
        rows = self._filled(rows, rng)
        found = []
        for j, distribution in enumerate(self.encoder.distributions):
            for k in range(int(min(count_of(distribution), _NEIGHBOURS))):
                moved = rows.copy()
                if count_of(distribution) <= _NEIGHBOURS:
                    moved[:, j] = levels_of(distribution)[k]
                elif isinstance(distribution, CategoricalDistribution):
                    moved[:, j] = _draw(distribution, rng, len(rows))
                else:
                    moved[:, j] = _step(distribution, rows[:, j], rng)
                found.append(moved)
        return self.valid(np.concatenate(found)) if found else rows[:0]
