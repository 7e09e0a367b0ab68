"""What ends a search before its budget is spent: its time, or failure after failure."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

from invsearch.runs.trial import Trial
from invsearch.search.stopping import Stopping

__all__ = ["Limit", "Limits", "Watch"]

# What breaks a known bound is never proposed so often in a row, so these were measured first, which
# takes seconds each.
_INFEASIBLE_IN_ROW = 100


@dataclass(frozen=True)
class Limit:
    """How long an evaluation may take.

    Attributes:
        trial_s: Seconds of each trial; None for no limit.
        search_end: When the whole search ends, by ``time.monotonic``; None for never.
    """

    trial_s: float | None = None
    search_end: float | None = None

    def __bool__(self) -> bool:
        return self.trial_s is not None or self.search_end is not None


@dataclass(frozen=True)
class Limits:
    """What a search is given, beside its budget of trials.

    Attributes:
        timeout_s: Seconds of the whole search, from its first proposal on; each resume has as many.
        trial_timeout_s: Seconds of each trial.
        failures_in_row: After how many trials that failed in a row the search ends.
        stopping: What watches for ``search.stop``.
    """

    timeout_s: float | None = None
    trial_timeout_s: float | None = None
    failures_in_row: int | None = None
    stopping: Stopping | None = None


class Watch:
    """Watches a search for its limits.

    Args:
        limits: Those of the search.

    Attributes:
        ended: Why the search ended before its budget was spent; None as long as it did not.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._end: float | None = None
        self._failed = self._infeasible = 0
        self.ended: str | None = None

    @property
    def limit(self) -> Limit:
        """Of an evaluation that begins now."""
        return Limit(self._limits.trial_timeout_s, self._end)

    @property
    def limits_time(self) -> bool:
        """Whether evaluations have to be ended when their time is up."""
        return self._limits.timeout_s is not None or self._limits.trial_timeout_s is not None

    @property
    def out_of_time(self) -> bool:
        """Whether the time of the whole search is up."""
        self._consider_stop()
        if self._end is None or time.monotonic() < self._end:
            return False
        self.ended = f"time limit: search.timeout = {self._limits.timeout_s:g} s is over"
        return True

    @property
    def stopping(self) -> Stopping | None:
        """What watches for ``search.stop``."""
        return self._limits.stopping

    def recall(self, trials: Iterable[Trial]) -> None:
        """Take in the trials of a run that goes on."""
        if self._limits.stopping is not None:
            self._limits.stopping.recall(trials)

    def begin(self) -> None:
        """Start the clock, if it does not run."""
        if self._limits.stopping is not None:
            self._limits.stopping.begin()
        if self._end is None and self._limits.timeout_s is not None:
            self._end = time.monotonic() + self._limits.timeout_s

    def see(self, trial: Trial) -> None:
        """Take in how a trial ended."""
        if self._limits.stopping is not None:
            self._limits.stopping.see(trial)
        self._infeasible = 0 if trial.counts else self._infeasible + 1
        if self._infeasible >= _INFEASIBLE_IN_ROW:
            self.ended = (
                f"{self._infeasible} proposals in a row were infeasible, the last: {trial.error}"
            )
        if not trial.counts:
            return
        self._failed = self._failed + 1 if trial.state == "failed" else 0
        most = self._limits.failures_in_row
        if most is not None and self._failed >= most:
            self.ended = f"{self._failed} trials in a row failed (search.max_failures_in_row)"

    def _consider_stop(self) -> None:
        """End the search where ``search.stop`` says so; what is under way goes on to its end."""
        stopping = self._limits.stopping
        if stopping is not None and self.ended is None:
            self.ended = stopping.reason
