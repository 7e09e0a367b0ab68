"""How good a point is: functions with one structure each, over levels of parameters.

A worth takes levels (n, parameters), the index of every choice or the place in a range between 0
and 1, and gives (n,) numbers of about unit spread, higher is better. All numbers in it are drawn
from a seed, so that a structure is one function for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Worth",
    "additive",
    "alike",
    "interacting",
    "mixed",
    "paths",
    "plateaus",
    "smooth",
    "switched",
]

Array = NDArray[np.float64]
Worth = Callable[[Array], Array]

_DEAD = -6.0  # worth where nothing reaches the output: far below the worst that lives


@dataclass(frozen=True)
class _Table:
    """What each level of each parameter is worth by itself: (parameters, levels)."""

    worth: Array

    @classmethod
    def drawn(cls, count: int, levels: int, rng: np.random.Generator) -> _Table:
        """Dearer levels (see ``prices``) are better on average, by half of the spread."""
        rising = np.linspace(-1.0, 1.0, levels)[None]
        worth = 0.6 * rising + 0.5 * rng.standard_normal((count, levels))
        return cls(worth / np.sqrt(count))

    def each(self, levels: Array) -> Array:
        """(n, parameters)."""
        return self.worth[np.arange(self.worth.shape[0]), levels.astype(np.intp)]


def additive(count: int, levels: int, rng: np.random.Generator) -> Worth:
    """The sum of what every level is worth by itself."""
    table = _Table.drawn(count, levels, rng)
    return lambda x: table.each(x).sum(axis=1)


def alike(count: int, levels: int, rng: np.random.Generator) -> Worth:
    """What a level is worth at every parameter, more at some of them, and a little of their own."""
    common = _Table.drawn(1, levels, rng).worth / np.sqrt(count)
    table = _Table(common * rng.uniform(0.5, 1.5, (count, 1)))
    own = interacting(count, levels, rng, order=2)
    return lambda x: table.each(x).sum(axis=1) + 0.4 * own(x)


def interacting(count: int, levels: int, rng: np.random.Generator, *, order: int) -> Worth:
    """Pairs (``order`` 2) and triples (3) of parameters have a worth beside each one's own."""
    table = _Table.drawn(count, levels, rng)
    terms = [
        (rng.permutation(count)[:size], rng.standard_normal((levels,) * size))
        for size in range(2, order + 1)
        for _ in range(2 * count)
    ]
    scale = 0.9 / np.sqrt(len(terms))  # together about what the levels are worth by themselves

    def worth(x: Array) -> Array:
        index = x.astype(np.intp)
        pairs = sum(term[tuple(index[:, places].T)] for places, term in terms)
        return np.asarray(table.each(x).sum(axis=1) + scale * pairs)

    return worth


def switched(count: int, levels: int, rng: np.random.Generator) -> Worth:
    """One level of each of the first three parameters makes half of the others worth nothing."""
    table = _Table.drawn(count, levels, rng)
    off = [(j, int(rng.integers(levels)), rng.random(count) < 0.5) for j in range(3)]
    least = table.worth.min(axis=1)

    def worth(x: Array) -> Array:
        each = table.each(x)
        for j, level, others in off:
            hit = np.outer(x[:, j] == level, others)
            hit[:, j] = False
            each = np.where(hit, least, each)
        return np.asarray(each.sum(axis=1))

    return worth


def plateaus(inner: Worth, height: float = 0.4) -> Worth:
    """``inner`` in steps of ``height``: most changes of a point change nothing."""
    return lambda x: np.round(inner(x) / height) * height


# A cell of four nodes, as in NAS-Bench-201 (Dong and Yang 2020): edges, and paths from in to out.
_EDGES = 6
_PATHS: tuple[tuple[int, ...], ...] = ((3,), (0, 4), (1, 5), (0, 2, 5))
_CELL = np.array([0.0, 0.12, 0.55, 0.9, 0.1])  # nothing, identity, 1x1, 3x3, pooling


def paths(rng: np.random.Generator) -> Worth:
    """Six edges with five operators: only what lies on an unbroken path counts; depth saturates."""
    edge = _CELL * rng.uniform(0.5, 1.3, (_EDGES, 1)) + 0.1 * rng.standard_normal((_EDGES, 5))
    pair = 0.06 * rng.standard_normal((_EDGES, _EDGES, 5, 5))

    def worth(x: Array) -> Array:
        index = x.astype(np.intp)
        alive = np.zeros(x.shape, dtype=bool)
        depth = np.zeros(len(x))
        for path in _PATHS:
            whole = (index[:, path] != 0).all(axis=1)
            alive[np.ix_(whole, path)] = True
            convolutions = np.isin(index[:, path], (2, 3)).sum(axis=1)
            depth = np.maximum(depth, np.where(whole, convolutions, 0))
        total = np.where(alive, edge[np.arange(_EDGES), index], 0.0).sum(axis=1)
        total += 0.35 * np.minimum(depth, 2)
        for a in range(_EDGES):
            for b in range(a + 1, _EDGES):
                both = alive[:, a] & alive[:, b]
                total += np.where(both, pair[a, b][index[:, a], index[:, b]], 0.0)
        return np.where(alive.any(axis=1), 2.0 * (1 - np.exp(-total / 1.6)), _DEAD)

    return worth


def smooth(count: int, rng: np.random.Generator) -> Worth:
    """Ranges: a bump with its top inside, turned so that no parameter acts alone."""
    top = rng.uniform(0.2, 0.9, count)
    turn = np.eye(count) + 0.5 * rng.standard_normal((count, count)) / np.sqrt(count)
    return lambda x: 1.5 - 3.0 * (((x - top) @ turn) ** 2).sum(axis=1) / np.sqrt(count)


def mixed(parts: Sequence[tuple[slice, Worth]]) -> Worth:
    """The sum of several worths, each of its own parameters."""
    return lambda x: np.sum([worth(x[:, where]) for where, worth in parts], axis=0)
