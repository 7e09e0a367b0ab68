"""The crew: the workers of a run that the driver knows, and which of them take part."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from invsearch.runs import describe
from invsearch.search.executors.executor import WorkerState
from invsearch.search.executors.folder.leases import recover
from invsearch.search.executors.folder.place import PROTOCOL, Place
from invsearch.search.executors.folder.seen import Seen
from invsearch.search.executors.machines import different, running

if TYPE_CHECKING:
    from invsearch.search.session import Session

__all__ = ["Crew", "versions"]

_LIST_S = 1.0  # between two listings of the workers
_PATIENCE_S = 3.0  # without any worker before it is said: those that are there were seen by then


def versions(environment: Mapping[str, Any]) -> dict[str, str]:
    """What must be equal where the driver is and where a worker is: Ray has no part in it."""
    return {name: one for name, one in running(environment).items() if name != "ray"}


class Crew:
    """The workers of a run.

    Args:
        place: The run's folder of workers.
        session: The run.
        space: The digest of what they are to evaluate.
        lease_s: Seconds without a sign of life after which one is lost.
    """

    def __init__(self, place: Place, session: Session, space: str, lease_s: float) -> None:
        self._place, self._session, self._space = place, session, space
        self._lease_s = lease_s
        self._versions = versions(describe())
        self._workers: dict[str, Seen] = {}
        self._known: set[str] = set()
        self._looked = self._alone_since = time.monotonic()
        self._list_due = 0.0
        self._told_alone = False

    def __iter__(self) -> Iterator[Seen]:
        return iter(list(self._workers.values()))

    def recall(self) -> None:
        """Find the workers that an earlier driver had, with what they are at."""
        for worker in self._news():
            worker.inherit()
            recover(self._place, worker)

    def look(self) -> None:
        """Look for new workers, and at every one's pulse."""
        now = time.monotonic()
        # a driver that was paused has not watched: others may have been paused with it
        passed_s = min(now - self._looked, self._lease_s / 4)
        self._looked = now
        if now >= self._list_due:
            self._list_due = now + _LIST_S
            for worker in self._news():
                if not worker.refused:
                    self._session.say(f"worker {worker.name} is here")
        for worker in self:
            worker.look(passed_s)
            if self.lost(worker) and not worker.path.is_dir():  # it has ended by itself
                del self._workers[worker.path.name]
        self._consider_alone(now)

    def lost(self, worker: Seen) -> bool:
        """Whether it gives no sign of life."""
        return worker.silent_s > self._lease_s

    def takes_part(self, worker: Seen) -> bool:
        """Whether it may have trials: not one that has yet to take in what is searched now."""
        gone = worker.left or bool(worker.refused) or self.lost(worker)
        return not gone and worker.info.get("space") == self._space

    def here(self) -> list[Seen]:
        """Those that take part."""
        return [worker for worker in self if self.takes_part(worker)]

    def drop(self, worker: Seen) -> None:
        """Forget a worker, and remove its folder."""
        worker.forget()
        self._workers.pop(worker.path.name, None)

    def environment(self, worker: Seen) -> str:
        """The id of a worker's environment, which the run's folder then knows."""
        described = worker.info["environment"]
        if described["id"] not in self._known:
            self._session.folder.add_environment(described)
            self._known.add(described["id"])
        return str(described["id"])

    def show(self) -> None:
        """Tell the live view who works at what."""
        self._session.workers = [
            WorkerState(
                worker.name,
                worker.lease.key[0] if worker.lease is not None else None,
                worker.lease.step if worker.lease is not None else 0,
                worker.silent_s,
            )
            for worker in self.here()
        ]

    def _news(self) -> Iterator[Seen]:
        for path in self._place.workers():
            if path.name not in self._workers:
                worker = self._workers[path.name] = Seen(path)
                self._check(worker)
                yield worker

    def _check(self, worker: Seen) -> None:
        """Send away what runs something else."""
        info, reasons = worker.info, list[str]()
        if info.get("protocol") != PROTOCOL:
            reasons += [f"its files have form {info.get('protocol')}, the driver's {PROTOCOL}"]
        else:
            reasons += different(self._versions, info["versions"])
        worker.refused = "; ".join(reasons)
        if worker.refused:
            self._session.say(f"worker {worker.name} is sent away: {worker.refused}")
            worker.order(leave=worker.refused)

    def _consider_alone(self, now: float) -> None:
        """Say once, and again when that has changed, that nobody is there to work."""
        if self.here():
            self._alone_since, self._told_alone = now, False
        elif not self._told_alone and now - self._alone_since > _PATIENCE_S:
            self._told_alone = True
            self._session.say(
                f"waiting for workers: start them with invsearch work {self._place.run}"
            )
