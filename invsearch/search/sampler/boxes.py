"""The region a front leaves undominated, as disjoint boxes: exact hypervolumes from one sum.

Every objective is minimised here. A box is ``[lower, upper)``; the boxes of a front are disjoint
and their union is what lies below the reference point and is dominated by no member. The volume
that a new point ``y`` would add is then the sum over the boxes of the part above ``y`` (the idea of
Couckuyt, Deschrijver and Dhaene 2014; the cuts are those of the "difference of two boxes").
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["UndominatedBoxes", "hypervolume", "leading", "non_dominated"]

Array = NDArray[np.float64]


def non_dominated(points: Array) -> NDArray[np.bool_]:
    """Mark the rows of ``points`` (n, objectives) that no other row dominates.

    Of equal rows the first alone is marked.
    """
    keep = np.zeros(len(points), dtype=bool)
    rest = np.lexsort(points.T[::-1])
    while len(rest):
        first = rest[0]
        keep[first] = True
        rest = rest[~np.all(points[rest] >= points[first], axis=1)]
    return keep


def leading(values: Array, count: int) -> NDArray[np.intp]:
    """The first fronts of ``values`` (n, objectives), ``count`` rows or a little more in all."""
    rest, found = np.arange(len(values)), np.empty(0, dtype=np.intp)
    while len(rest) and len(found) < count:
        front = non_dominated(values[rest])
        found, rest = np.concatenate([found, rest[front]]), rest[~front]
    return found


class UndominatedBoxes:
    """The undominated region below ``reference``, cut by one front member after another.

    Attributes:
        lower: (boxes, objectives), ``-inf`` where a box has no lower end.
        upper: (boxes, objectives).
    """

    def __init__(
        self, reference: Array, members: Array | None = None, most: float = np.inf
    ) -> None:
        """Args:
        reference: (objectives,), the worst corner.
        members: (n, objectives), the front; dominated rows and rows beyond the reference
            change nothing.
        most: How many boxes are enough: the members that dominate the least are then left out,
            and the region is a little larger than it should be.
        """
        self.reference = np.asarray(reference, dtype=float)
        self.lower = np.full((1, len(self.reference)), -np.inf)
        self.upper = self.reference[None].copy()
        given = np.empty((0, len(self.reference))) if members is None else members
        # the most central first: several times fewer boxes than in sorted order
        volume = np.prod(np.maximum(self.reference - given, 0.0), axis=1)
        self._members = given[np.argsort(-volume, kind="stable")]
        for member in self._members:
            if len(self) >= most:
                break
            self.cut(member)

    def coarse(self, most: int) -> UndominatedBoxes:
        """The larger region of about ``most`` boxes; gains there are no smaller."""
        return self if len(self) <= most else UndominatedBoxes(self.reference, self._members, most)

    def __len__(self) -> int:
        return len(self.upper)

    def cut(self, member: Array) -> None:
        """Take away what ``member`` (objectives,) dominates.

        A box that reaches above the member in every objective gives up to one piece an objective
        ``d``: below the member in ``d``, above it in all objectives before ``d``.
        """
        hit = np.all(self.upper > member, axis=1)
        if not hit.any():
            return
        lower, upper = self.lower[hit], self.upper[hit]
        pieces_lower, pieces_upper = [self.lower[~hit]], [self.upper[~hit]]
        for d in range(len(member)):
            piece = lower[:, d] < member[d]
            below = upper[piece].copy()
            below[:, d] = member[d]
            pieces_lower.append(lower[piece])
            pieces_upper.append(below)
            lower = lower.copy()
            lower[:, d] = np.maximum(lower[:, d], member[d])
        self.lower = np.concatenate(pieces_lower)
        self.upper = np.concatenate(pieces_upper)

    def gain(self, points: Array) -> Array:
        """Hypervolume that each row of ``points`` (n, objectives) would add, on its own: (n,)."""
        volume = np.ones((len(points), len(self)))
        for d in range(points.shape[1]):
            start = np.maximum(self.lower[:, d], points[:, d, None])
            volume *= np.maximum(self.upper[:, d] - start, 0.0)
        return np.asarray(volume.sum(axis=1))


def hypervolume(points: Array, reference: Array) -> float:
    """Exact volume between ``points`` (n, objectives; minimised) and ``reference``."""
    inside = points[np.all(points < reference, axis=1)]
    if not len(inside):
        return 0.0
    ideal = inside.min(axis=0)
    boxes = UndominatedBoxes(reference, inside[non_dominated(inside)])
    missing = np.prod(np.maximum(boxes.upper - np.maximum(boxes.lower, ideal), 0.0), axis=1).sum()
    return float(np.prod(reference - ideal) - missing)
