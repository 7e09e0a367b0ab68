"""Proposals where every objective is known beforehand: no model, the exact gains."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from invsearch.search.sampler.boxes import Boxes, non_dominated

__all__ = ["best_first"]

Array = NDArray[np.float64]

_MOST_BOXES = 4_000
_CHUNK = 2_000_000


def _gains(boxes: Boxes, points: Array) -> Array:
    step = max(1, _CHUNK // len(boxes))
    parts = [boxes.gain(points[i : i + step]) for i in range(0, len(points), step)]
    return np.concatenate(parts) if parts else np.empty(0)


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
        boxes = Boxes(reference, front)
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
