"""Curve: how far one simulated search got, and when."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Curve", "Reached"]


@dataclass(frozen=True)
class Reached:
    """Where a search stands when a trial ends.

    Attributes:
        trials: Trials that have ended.
        wall_clock_s: Seconds since the start.
        device_hours: Hours that workers spent on the trials that have ended.
        hypervolume: The share of the hypervolume that was found.
    """

    trials: int
    wall_clock_s: float
    device_hours: float
    hypervolume: float


@dataclass(frozen=True)
class Curve:
    """How far one simulated search got, and when.

    Attributes:
        workers: Trials that ran at a time.
        seed: Of the search.
        reached: A point for each trial that ended, in the order of their ends.
    """

    workers: int
    seed: int
    reached: tuple[Reached, ...]

    @property
    def end(self) -> Reached:
        """The last point; nothing at all for a search without a trial."""
        return self.reached[-1] if self.reached else Reached(0, 0.0, 0.0, 0.0)

    @property
    def rented_device_hours(self) -> float:
        """Hours of all workers from start to end, those that waited too."""
        return self.workers * self.end.wall_clock_s / 3600

    def seconds_to(self, share: float) -> float | None:
        """Seconds until a share of the hypervolume was found; None if it never was."""
        times = (point.wall_clock_s for point in self.reached if point.hypervolume >= share)
        return next(times, None)
