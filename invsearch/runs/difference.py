"""Difference: by how much one is better than another, and how surely."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CLEAR", "Difference"]

CLEAR = 0.9  # odds of nine to one; between it and its opposite the data cannot tell


@dataclass(frozen=True)
class Difference:
    """How much better one is than the other.

    Attributes:
        probability: That it is better at all.
        value: By how much the metric differs, the one minus the other, in the metric's own unit.
        low: Lower end of the 95 % interval.
        high: Upper end.
    """

    probability: float
    value: float
    low: float
    high: float

    @property
    def clear(self) -> bool:
        """Whether the one can be said to be better."""
        return self.probability >= CLEAR

    @property
    def reversed(self) -> Difference:
        """The other against the one."""
        return Difference(1 - self.probability, -self.value, -self.high, -self.low)
