"""OtherDrivers: what the other drivers of a shared study are at, as far as this one knows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from optuna.trial import FrozenTrial

from invsearch.runs.trial import Trial
from invsearch.search.server import StudyServer

__all__ = ["OtherDrivers"]


class OtherDrivers:
    """The trials that other drivers of a study run, found again each time that it is read.

    Args:
        server: Where the study is; None for a journal, which has one driver.

    Attributes:
        arrived: Trials that others have finished and that nobody took in yet.
    """

    def __init__(self, server: StudyServer | None) -> None:
        self.arrived: list[Trial] = []
        self._server = server
        self._known = 0
        self._open: set[int] = set()
        self._unsettled: set[int] = set()

    @property
    def running(self) -> int:
        """How many trials others run."""
        return len(self._open)

    def news(self, trials: Sequence[FrozenTrial]) -> Iterator[FrozenTrial]:
        """Those of the study's trials, in order, that others asked and may have got on with."""
        candidates = {*self._open, *self._unsettled, *range(self._known, len(trials))}
        self._known = len(trials)
        self._unsettled.clear()
        for handle in sorted(candidates):
            asked = trials[handle]
            if "number" in asked.user_attrs:
                if self._server is None or asked.user_attrs.get("driver") != self._server.driver:
                    yield asked
            elif not asked.state.is_finished():
                self._unsettled.add(handle)

    def runs(self, asked: FrozenTrial) -> bool:
        """Whether another driver that lives is at a trial; if it is dead the trial is an orphan."""
        self._open.discard(asked.number)
        driver = asked.user_attrs.get("driver")
        if self._server is None or driver is None or asked.state.is_finished():
            return False
        if driver == self._server.driver or not self._server.alive(driver):
            return False
        self._open.add(asked.number)
        return True
