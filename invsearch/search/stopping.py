"""``search.stop``: when a search has spent its hours, or finds no more."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from invsearch.metrics import Direction
from invsearch.runs.front import hypervolume_trace
from invsearch.runs.trial import Trial

if TYPE_CHECKING:
    from invsearch.space.schema import Stop

__all__ = ["Stopping", "spent_s"]

_HOUR_S = 3600.0


class Stopping:
    """Watches the trials of a run, over all its resumes, for what its space file stops at.

    Args:
        stop: What it says.
        objectives: Direction by metric.
    """

    def __init__(self, stop: Stop, objectives: Mapping[str, Direction]) -> None:
        self._stop, self._objectives = stop, objectives
        self._trials: dict[int, Trial] = {}  # by number, in the order of their latest ends
        self._before_s = 0.0
        self._began: float | None = None
        self._ends = 0
        self._flat: tuple[int, float | None] = (-1, None)

    def recall(self, trials: Iterable[Trial]) -> None:
        """Take in how trials of the run ended so far, before it goes on."""
        for trial in trials:
            self.see(trial)
        # what another run brought took that run's time
        self._before_s = spent_s([t for t in self._trials.values() if t.origin != "imported"])

    def begin(self) -> None:
        """Start the clock, if it does not run."""
        self._began = time.monotonic() if self._began is None else self._began

    def see(self, trial: Trial) -> None:
        """Take in a trial that has ended; one that had stopped, and went on, ends again."""
        self._trials.pop(trial.number, None)
        self._ends += 1
        if trial.counts:
            self._trials[trial.number] = trial

    @property
    def left_s(self) -> float | None:
        """Seconds of ``stop.hours`` that are left; None without such a limit."""
        if self._stop.hours is None:
            return None
        now = 0.0 if self._began is None else time.monotonic() - self._began
        return max(0.0, self._stop.hours * _HOUR_S - self._before_s - now)

    @property
    def reason(self) -> str | None:
        """Why nothing more is begun; None as long as something may be."""
        if self.left_s == 0:
            return f"search.stop.hours = {self._stop.hours:g} are over"
        plateau, gain = self._stop.plateau, self.gain
        if plateau is None or gain is None or gain >= plateau.gain:
            return None
        return (
            f"search.stop.plateau: the last {plateau.trials} trials added {gain:.2%} to the "
            f"hypervolume, less than {plateau.gain:.2%}"
        )

    @property
    def gain(self) -> float | None:
        """What the last trials of ``stop.plateau`` added to the hypervolume, as a share of it.

        The volume is that of :func:`invsearch.runs.hypervolume_trace`, in the box of all trials.
        None without such a limit, and as long as there are too few trials.
        """
        if self._stop.plateau is None:
            return None
        known, gain = self._flat
        if known != self._ends:
            gain = self._gained(self._stop.plateau.trials)
            self._flat = self._ends, gain
        return gain

    def _gained(self, last: int) -> float | None:
        trials = list(self._trials.values())
        now = hypervolume_trace(trials, self._objectives)
        before = hypervolume_trace(trials[:-last], self._objectives, among=trials)
        if not before or not now[-1][1]:
            return None
        return max(0.0, 1.0 - before[-1][1] / now[-1][1])


def spent_s(trials: Iterable[Trial]) -> float:
    """Seconds in which at least one of these trials was evaluated."""
    spans = sorted(
        (datetime.fromisoformat(trial.started), datetime.fromisoformat(trial.finished))
        for trial in trials
        if trial.started and trial.finished
    )
    total, end = 0.0, None
    for began, finished in spans:
        if end is None or finished > end:
            total += (finished - (began if end is None else max(began, end))).total_seconds()
            end = finished
    return total
