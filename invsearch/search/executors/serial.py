"""``serial``: one evaluation after another, in this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from invsearch.errors import DiskError
from invsearch.evaluation import describe_failure
from invsearch.search.executors.executor import Executor, Workers
from invsearch.search.proposal import Proposal
from invsearch.search.session import Outcome, Session

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
    while not session.finished:
        batch = []
        while (proposal := session.ask()) is not None:
            batch.append(proposal)
        for proposal in batch:
            session.finish(proposal, _evaluate(session, proposal))


def _evaluate(session: Session, proposal: Proposal) -> Outcome:
    folder = session.folder.checkpoint_dir(proposal.number)
    try:
        evaluation = session.problem.evaluation(proposal.architecture, proposal.seed)
        evaluation.load(folder)
        progress = evaluation.step()
        while not progress.done:
            if session.judge(proposal, progress):
                return Outcome(progress.metrics, stopped=True)
            evaluation.save(folder)
            progress = evaluation.step()
        return Outcome(progress.metrics)
    except DiskError:  # the run's disk, not the trial: it is evaluated again when that is mended
        raise
    except Exception as error:  # a trial that raises is recorded and the search goes on
        return Outcome(error=describe_failure(error))


@contextmanager
def _open(problem: Problem, address: str | None) -> Iterator[Workers]:
    threads = max(1, int(problem.file.cluster.cpus_per_trial))
    yield Workers(1, lambda session: run_serial(session, threads))


SERIAL = Executor(_open)
