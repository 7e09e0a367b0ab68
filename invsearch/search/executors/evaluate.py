"""Evaluating one trial, step by step: what every executor does, in whatever process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from invsearch.evaluation import Attentive, Evaluation, Judge, Outcome, timed_step
from invsearch.space.architecture import Architecture
from invsearch.user_code.failure import UserCodeError
from invsearch.user_code.guard import Guard

if TYPE_CHECKING:
    from invsearch.problem.problem import Problem
    from invsearch.search.proposal import Proposal
    from invsearch.search.session import Session

__all__ = ["Task", "evaluate", "task_of"]


@dataclass(frozen=True)
class Task:
    """What a worker needs to know of a trial.

    Attributes:
        number: The trial's number.
        architecture: What is evaluated.
        seed: Of the evaluation.
        folder: Of the trial's checkpoints; absolute, it may not exist.
        promotes: Whether it may go on when a rung has stopped it, so that it is saved there.
    """

    number: int
    architecture: Architecture
    seed: int
    folder: Path
    promotes: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data, parameters in their order."""
        items = [list(item) for item in self.architecture.items()]
        return {**vars(self), "architecture": items, "folder": str(self.folder)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Task:
        architecture = Architecture(tuple(map(tuple, data["architecture"])))
        return cls(
            data["number"], architecture, data["seed"], Path(data["folder"]), data["promotes"]
        )


def task_of(session: Session, proposal: Proposal) -> Task:
    """What is to be done for a proposal of a session."""
    folder = session.folder.checkpoint_dir(proposal.number).absolute()
    return Task(proposal.number, proposal.architecture, proposal.seed, folder, session.promotes)


def evaluate(problem: Problem, task: Task, judge: Judge) -> Outcome:
    """Evaluate to the end, or to where the judge stops it.

    Args:
        problem: What is searched.
        task: The trial.
        judge: Told what is reached after each step, and within one by evaluations that report.

    Raises:
        BaseException: What the judge raises, or an interruption by the user; nothing else.
    """
    guard = Guard()
    try:
        return guard.call(lambda: _steps(problem, task, lambda at: guard.ours(lambda: judge(at))))
    except UserCodeError as error:
        return Outcome(error=str(error), traceback=error.traceback)


def _steps(problem: Problem, task: Task, judge: Judge) -> Outcome:
    evaluation: Evaluation = problem.evaluation(task.architecture, task.seed)
    if isinstance(evaluation, Attentive):
        evaluation.attend(task.number, task.folder, judge)
    evaluation.load(task.folder)
    progress = timed_step(evaluation)
    while not progress.done:
        if judge(progress):
            if task.promotes:
                evaluation.save(task.folder)
            return Outcome(progress.metrics, stopped=True)
        evaluation.save(task.folder)
        progress = timed_step(evaluation)
    return Outcome(progress.metrics, stopped=progress.stopped, untold=(progress,))
