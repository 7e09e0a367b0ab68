"""``serial``: one evaluation after another, in this process; where time is limited, beside it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from invsearch.evaluation import Outcome, Progress
from invsearch.search.executors.apart import Apart, OutOfTimeError
from invsearch.search.executors.evaluate import evaluate, task_of
from invsearch.search.executors.executor import Executor, Workers
from invsearch.search.executors.underway import Underway
from invsearch.search.proposal import Proposal
from invsearch.search.session import Session

if TYPE_CHECKING:
    from invsearch.problem.problem import Problem

__all__ = ["SERIAL", "run_serial"]


def run_serial(session: Session, threads: int = 1) -> None:
    """Evaluate until the session is finished.

    Args:
        session: The run.
        threads: Torch's threads for an evaluation, as a Ray worker with as many CPUs would have.
    """
    import torch

    torch.set_num_threads(threads)
    serial = _Serial(session, threads)
    try:
        serial.run()
    except OutOfTimeError:  # what is under way is evaluated when the search is resumed
        assert session.watch.out_of_time
    finally:
        serial.apart.close()


class _Serial:
    """The evaluations of a session, one after another."""

    def __init__(self, session: Session, threads: int) -> None:
        self.apart = Apart(session.problem, threads)
        self._session = session
        self._underway = Underway(session.folder.path)
        if session.watch.limits_time:
            self.apart.start()  # before the clock

    def run(self) -> None:
        session = self._session
        while not session.finished:
            batch = []
            while (proposal := session.ask()) is not None:
                batch.append(proposal)
            for proposal in batch:
                session.finish(proposal, self._evaluated(proposal))

    def _evaluated(self, proposal: Proposal) -> Outcome:
        session, task = self._session, task_of(self._session, proposal)

        def judge(reached: Progress) -> bool:
            return session.judge(proposal, reached)

        limit, suspect = session.limit, proposal.number == self._underway.suspect
        if limit or suspect:
            outcome = self.apart.evaluate(task, judge, limit)
            if suspect:
                self._underway.clear()
            return outcome
        if not session.problem.needs_workers:  # nothing of it can end the process
            return evaluate(session.problem, task, judge)
        self._underway.mark(proposal.number)
        try:
            return evaluate(session.problem, task, judge)
        finally:
            self._underway.clear()


@contextmanager
def _open(problem: Problem, address: str | None) -> Iterator[Workers]:
    threads = max(1, int(problem.file.cluster.cpus_per_trial))
    yield Workers(1, lambda session: run_serial(session, threads))


SERIAL = Executor(_open)
