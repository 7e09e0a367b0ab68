"""What a claim must reach, and the verdict on what was found: on a CPU and a GPU alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ops.timing import Interval

__all__ = ["Goal", "Reached"]

Reached = Literal["aim", "at least", "missed", "cannot tell"]


@dataclass(frozen=True)
class Goal:
    """Two bounds on a figure.

    Attributes:
        at_least: What must be reached.
        aim: What is aimed at.
        less: Whether less is better: seconds, not ratios.
    """

    at_least: float
    aim: float
    less: bool = False

    def reached(self, found: Interval) -> Reached:
        """``aim`` or ``at least`` where the whole 95 % interval is beyond that bound.

        ``missed`` where all of it falls short of what must be reached, else ``cannot tell``.
        """
        if self._beyond(found, self.aim):
            return "aim"
        if self._beyond(found, self.at_least):
            return "at least"
        short = found.low > self.at_least if self.less else found.high < self.at_least
        return "missed" if short else "cannot tell"

    def _beyond(self, found: Interval, bound: float) -> bool:
        return found.high <= bound if self.less else found.low >= bound
