"""The driver: it alone gives trials to workers and takes their outcomes in.

A worker has a trial by a lease. It holds as long as the worker gives signs of life, which is a
count that goes up; how long it stood still is told by the driver's own clock, so that the clocks of
machines never meet. A lease that was taken back has no way in any more: its folder of checkpoints
has been moved away, and nobody reads its messages.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from invsearch.errors import DiskError
from invsearch.evaluation import Outcome
from invsearch.search.executors.evaluate import task_of
from invsearch.search.executors.folder.crew import Crew
from invsearch.search.executors.folder.desk import Desk
from invsearch.search.executors.folder.leases import end, fence, grant
from invsearch.search.executors.folder.place import Place
from invsearch.search.executors.folder.seen import Lease, Seen
from invsearch.search.executors.plain import outcome_from, progress_from
from invsearch.search.proposal import Proposal

if TYPE_CHECKING:
    from invsearch.search.session import Session

__all__ = ["run_folder"]

_DEATHS = 2  # an evaluation's process may be another's victim twice; a third time it dies of itself
# A lost worker is no fault of its trial, as a rule. Where it is - a scheduler may end the whole job
# of a trial that takes too much memory - the trial must not wander from worker to worker for ever.
# Chosen: several times the deaths, since nodes that come and go all day lose one trial often.
_LOSSES = 9
_QUICK_S, _SLOW_S, _SLOWER = 0.01, 0.5, 1.3  # pauses between looks: after news, and without any


def run_folder(session: Session, lease_s: float, parallel: int | None) -> None:
    """Give a session's trials to workers, wherever they were started, until it is finished.

    Args:
        session: The run.
        lease_s: Seconds without a sign of life after which a worker is lost.
        parallel: How many trials may be under way; None for as many as there are workers.

    Raises:
        InputError: If another driver has the run.
        DiskError: If a worker's disk takes no checkpoint.
    """
    place = Place(session.folder.path)
    desk = Desk(place, session.problem.file, lease_s)
    with desk.held(session.say):
        crew = Crew(place, session, desk.space, lease_s)
        _Driver(session, place, crew, desk, parallel).run()


class _Driver:
    def __init__(
        self, session: Session, place: Place, crew: Crew, desk: Desk, parallel: int | None
    ) -> None:
        self._session, self._place, self._crew, self._desk = session, place, crew, desk
        self._grows = parallel is None and not session.deterministic
        self._again: deque[Proposal] = deque()
        self._deaths: Counter[tuple[int, int]] = Counter()
        self._losses: Counter[tuple[int, int]] = Counter()
        self._orphans = session.orphans

    def run(self) -> None:
        self._crew.recall()
        pause = _QUICK_S
        while not self._session.finished:
            self._desk.check()
            if self._round():
                pause = _QUICK_S
            else:
                time.sleep(self._bounded(pause))
                pause = min(pause * _SLOWER, _SLOW_S)
        for worker in self._crew:
            self._take_back(worker)
            if worker.left or self._crew.lost(worker):
                self._crew.drop(worker)
        self._session.workers = []
        self._desk.close(self._session.watch.ended or "every trial is done")

    def _bounded(self, pause: float) -> float:
        """No longer than the search has time."""
        ends = self._session.limit.search_end
        return pause if ends is None else max(0.0, min(pause, ends - time.monotonic()))

    def _round(self) -> bool:
        """Look at every worker, and give out what can be; whether anything happened."""
        self._crew.look()
        happened = False
        for worker in self._crew:
            happened |= self._hear(worker, worker.said)
            stale = worker.lease is not None and not self._crew.takes_part(worker)
            if stale or worker.left:
                self._lose(worker)
                happened = True
        if self._grows:
            self._session.capacity = max(1, len(self._crew.here()))
        happened |= self._match()
        happened |= self._give()
        self._crew.show()
        return happened

    def _hear(self, worker: Seen, said: int | None) -> bool:
        """Take in what a worker says of its lease, as far as it goes; None for all there is."""
        lease = worker.lease
        if lease is None or lease.proposal is None:
            return False
        news = lease.news(said)
        for message in news:
            if "reached" in message:
                self._judge(worker, lease, lease.proposal, message)
            elif "outcome" in message:
                self._finish(worker, lease, lease.proposal, outcome_from(message["outcome"]))
            else:
                self._take_back(worker)
                raise DiskError(f"worker {worker.name}: {message['disk']}")
        return bool(news)

    def _judge(
        self, worker: Seen, lease: Lease, proposal: Proposal, message: Mapping[str, Any]
    ) -> None:
        reached = progress_from(message["reached"])
        lease.step, step = reached.step, str(reached.step)
        if step in lease.decisions:  # by a driver before this one, which has kept what it saw
            return
        stops = self._session.judge(proposal, reached)
        if message["waits"]:
            lease.decisions[step] = stops
            worker.order(leave=worker.refused)

    def _finish(self, worker: Seen, lease: Lease, proposal: Proposal, outcome: Outcome) -> None:
        """Take an outcome in; a kill in between finds it again."""
        fence(self._place, lease)
        if outcome.died:
            self._try_again(proposal, self._deaths, _DEATHS, outcome.error or "")
        else:
            where = self._crew.environment(worker)
            self._session.finish(proposal, replace(outcome, environment=where))
        end(worker)

    def _lose(self, worker: Seen) -> None:
        """Take the trial from a worker that is gone; if it comes back it may have another."""
        lease = worker.lease
        if lease is not None:
            fence(self._place, lease)  # before its messages: whatever was saved was told before
            self._hear(worker, None)
        if worker.lease is not None:
            self._give_up(worker, worker.lease)
            end(worker)
        if worker.left:
            self._crew.drop(worker)

    def _give_up(self, worker: Seen, lease: Lease) -> None:
        how = "has left" if worker.left else "is lost" if self._crew.lost(worker) else "is outdated"
        number = lease.key[0]
        self._session.say(f"worker {worker.name} {how}: trial {number} goes to another")
        if lease.proposal is None:
            return
        if self._crew.lost(worker) and not worker.left:
            reason = "the last one gave no sign of life any more"
            self._try_again(lease.proposal, self._losses, _LOSSES, reason)
        else:
            self._again.append(lease.proposal)

    def _try_again(
        self, proposal: Proposal, times: Counter[tuple[int, int]], most: int, reason: str
    ) -> None:
        """Try a trial again whose worker, or whose evaluation's process, is gone; or give it up."""
        key = (proposal.number, proposal.seed)
        times[key] += 1
        if times[key] <= most:
            self._again.append(proposal)
            return
        text = f"the worker died {times[key]} times, which is how running out of memory looks"
        self._session.finish(proposal, Outcome(error=f"{text}: {reason}"))

    def _take_back(self, worker: Seen) -> None:
        """End a lease without an outcome; what was saved is the trial's again."""
        if worker.lease is not None:
            fence(self._place, worker.lease)
            end(worker)

    def _match(self) -> bool:
        """Give the trials that a kill left running to the workers that are at them still."""
        inherited = [w for w in self._crew if w.lease is not None and w.lease.proposal is None]
        if not inherited:
            return False
        by_key = {w.lease.key: w.lease for w in inherited if w.lease is not None}
        asked = False
        while self._orphans and (proposal := self._session.ask()) is not None:
            self._orphans, asked = self._orphans - 1, True
            lease = by_key.get((proposal.number, proposal.seed, proposal.promoted))
            if lease is None or not _agrees(lease, proposal):
                self._again.append(proposal)
            else:
                lease.proposal = proposal
        if not self._orphans:  # nobody will ask for the others
            for worker in inherited:
                if worker.lease is not None and worker.lease.proposal is None:
                    self._take_back(worker)
        return asked

    def _give(self) -> bool:
        """Give trials to the workers that have none."""
        idle = [worker for worker in self._crew.here() if worker.lease is None]
        given = False
        for worker in idle:
            proposal = self._again.popleft() if self._again else self._session.ask()
            if proposal is None:
                break
            try:
                grant(self._place, worker, proposal, self._task(proposal))
            except FileNotFoundError:
                self._again.appendleft(proposal)
                self._crew.drop(worker)
            given = True
        return given

    def _task(self, proposal: Proposal) -> dict[str, Any]:
        """What a worker is told of a trial; its folder is another on every machine."""
        session = self._session
        judged = not proposal.replicate and proposal.origin != "baseline"
        return {
            "task": task_of(session, proposal).to_json(),
            "promoted": proposal.promoted,
            "rungs": list(session.halving.rungs) if judged else [],
            "trial_s": session.limit.trial_s,
        }


def _agrees(lease: Lease, proposal: Proposal) -> bool:
    items = [list(item) for item in proposal.architecture.items()]
    return bool(lease.task["task"]["architecture"] == items)
