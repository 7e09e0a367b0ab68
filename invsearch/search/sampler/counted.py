"""Proposals where every objective is known beforehand: no model, the exact gains."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from invsearch.search.sampler.boxes import UndominatedBoxes, leading, non_dominated
from invsearch.search.sampler.candidates import unique_rows
from invsearch.search.sampler.catalogue import Catalogue
from invsearch.search.sampler.history import History

__all__ = ["CountedOrder", "best_first"]

Array = NDArray[np.float64]

_BLOCK = 100  # proposals that are made together, each at a hundredth of the work
_DRAWN_ALONE = 100 * _BLOCK  # where nothing may be bred: draws are cheap beside trials
_GENERATIONS, _BROOD, _PARENTS = 4, 100, 24  # a block's worth of offspring, four times over
_MOST_BOXES = 4_000  # past which a bound stands for a gain: an exact one is a pass over them
_CHUNK = 2_000_000  # numbers at a time: 16 MB in float64


def _gains(boxes: UndominatedBoxes, points: Array) -> Array:
    step = max(1, _CHUNK // len(boxes))
    parts = [boxes.gain(points[i : i + step]) for i in range(0, len(points), step)]
    return np.concatenate(parts) if parts else np.empty(0)


class CountedOrder:
    """Orders the candidates of a block of trials at a time, from the trials before the block.

    Costs are cheap beside trials, so where a space cannot be listed each block breeds several
    generations of its own.

    Args:
        catalogue: Of a space whose every objective is known.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._order: _Order | None = None

    def next(self, history: History, number: int) -> Array | None:
        """The row for trial ``number``; None where every point has been proposed."""
        for block in (number // _BLOCK, -1 - number):  # an order of its own once that is used up
            if self._order is None or self._order.block != block:
                self._order = self._ordered(history, block)
            for row in self._order:
                if history.new(row[None])[0]:
                    return row
            if self._catalogue.whole is not None:
                break
        return None

    def _ordered(self, history: History, block: int) -> _Order:
        start = block * _BLOCK if block >= 0 else -1 - block
        earlier = [r for r in history.everything if 0 <= r.number < start]
        before = unique_rows(self._catalogue.stack(earlier))
        whole = self._catalogue.whole
        rows = self._bred(before, abs(block)) if whole is None else whole[0].rows
        taken = {row.tobytes() for row in before}
        rows = rows[[i for i, row in enumerate(rows) if row.tobytes() not in taken]]
        return _Order(block, rows, best_first(self._values(rows), self._values(before)))

    def _bred(self, before: Array, block: int) -> Array:
        catalogue = self._catalogue
        space, seed = catalogue.space, catalogue.seed
        drawn = space.sample([seed, block, 1], _DRAWN_ALONE if space.drawn_alone else _BLOCK)
        rows = unique_rows(np.concatenate([catalogue.reference[:2], before, drawn]))
        values = self._values(rows)
        for generation in range(_GENERATIONS):
            parents = rows[leading(values, _PARENTS)]
            bred = space.offspring([seed, block, 2, generation], parents, _BROOD)
            both = unique_rows(np.concatenate([rows, bred]))
            values = np.concatenate([values, self._values(both[len(rows) :])])
            rows = both
        return rows

    def _values(self, rows: Array) -> Array:
        """(n, objectives), on the scale of the hypervolume."""
        warped = self._catalogue.warped(self._catalogue.points(rows))
        return np.stack([warped[m] for m in sorted(warped)], axis=1)


class _Order:
    """The points of a block from the best on, as often as it is asked.

    A point that was proposed and never evaluated is proposed again.
    """

    def __init__(self, block: int, rows: Array, order: Iterator[int]) -> None:
        self.block, self._rows, self._order = block, rows, order
        self._known: list[int] = []

    def __iter__(self) -> Iterator[Array]:
        for i in self._known:
            yield np.asarray(self._rows[i])
        for i in self._order:
            self._known.append(i)
            yield np.asarray(self._rows[i])


def best_first(values: Array, seen: Array) -> Iterator[int]:
    """Order candidates so that each adds the most hypervolume to those before it.

    Gains only shrink as members are added, so a stale gain is an upper bound and only the leaders
    are computed again (the lazy greedy of Minoux 1978). When nothing adds anything any more, the
    next layer of the rest is ordered in the same way.

    Args:
        values: (n, objectives), exact and minimised.
        seen: (m, objectives), of the points evaluated already.

    Yields:
        Rows of ``values``.
    """
    both = np.concatenate([values, seen])
    if not len(values):
        return
    span = both.max(axis=0) - both.min(axis=0)
    reference = both.max(axis=0) + 1e-3 * np.where(span > 0, span, 1.0)
    rest = np.arange(len(values))
    front = seen[non_dominated(seen)]
    while len(rest):
        boxes = UndominatedBoxes(reference, front)
        layer = rest[non_dominated(values[rest])]
        bounds = _gains(boxes, values[layer])
        taken = []
        while len(layer):
            leader = int(np.argmax(bounds))
            if len(boxes) <= _MOST_BOXES:
                bounds[leader] = boxes.gain(values[layer[leader]][None])[0]
                if bounds[leader] < bounds.max():
                    continue
            if bounds[leader] <= 0 and len(front):
                break
            boxes.cut(values[layer[leader]])
            taken.append(int(layer[leader]))
            yield int(layer[leader])
            layer, bounds = np.delete(layer, leader), np.delete(bounds, leader)
        rest = np.setdiff1d(rest, np.array(taken, dtype=int))
        front = seen[:0]
