"""SimulatedProblem: a problem whose evaluations come from a table, with their course in time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from invsearch.errors import InputError
from invsearch.evaluation import Evaluation, Progress
from invsearch.metrics import Metric
from invsearch.problem.problem import Problem
from invsearch.runs import RunFolder
from invsearch.space.architecture import Architecture

__all__ = ["Course", "SimulatedProblem", "Table", "TabularBenchmark"]

Course = Sequence[tuple[float, Progress]]
"""What an evaluation brings, each with the share of the trial's time at which it does."""

_MOST_STEPS = 100_000  # of one evaluation: more epochs than anything is trained for


class Table(Protocol):
    """Where the results of simulated trials come from."""

    def measured(self, architecture: Architecture) -> Mapping[str, Metric]:
        """What is measured between batches, before an evaluation."""

    def course(self, architecture: Architecture, seed: int) -> Course:
        """What the evaluation brings."""


class TabularBenchmark:
    """The problem's own evaluator, called in this process: a table, or what is as cheap."""

    def __init__(self, problem: Problem) -> None:
        if problem.measures or (problem.needs_workers and problem.file.evaluator is None):
            raise InputError(
                f"{problem.file.path}: its trials train or measure, which a simulation cannot make "
                "up: simulate the folder of an earlier run of it, or a space with an evaluator "
                "that looks results up (for example nas-bench-macro)"
            )
        self._problem = problem

    def measured(self, architecture: Architecture) -> Mapping[str, Metric]:
        return {}

    def course(self, architecture: Architecture, seed: int) -> Course:
        evaluation, steps = self._problem.evaluation(architecture, seed), [Progress(0, False)]
        while not steps[-1].done and len(steps) <= _MOST_STEPS:
            steps.append(evaluation.step())
        taken = steps[1:]
        return [((index + 1) / len(taken), progress) for index, progress in enumerate(taken)]


class SimulatedProblem(Problem):
    """A problem of which everything but the evaluations and the measurements is real.

    Args:
        problem: The real one.
        table: Where results come from.
    """

    def __init__(self, problem: Problem, table: Table) -> None:
        super().__init__(problem.file)
        self._problem, self._table = problem, table

    @property
    def needs_workers(self) -> bool:
        return False  # in this process: many trials share one write

    @property
    def batches(self) -> bool:
        return self._problem.batches

    def prepare(self, folder: RunFolder, say: Callable[[str], None]) -> None:
        self._problem.prepare(folder, say)

    def known(self, architecture: Architecture) -> dict[str, Metric]:
        return self._problem.known(architecture)

    def measure(self, architecture: Architecture) -> dict[str, Metric]:
        return dict(self._table.measured(architecture))

    def evaluation(self, architecture: Architecture, seed: int) -> Evaluation:
        return _Recorded(self.course(architecture, seed))

    def course(self, architecture: Architecture, seed: int) -> Course:
        """What an evaluation brings, and when."""
        return self._table.course(architecture, seed)

    def baselines(self) -> dict[str, Architecture]:
        return self._problem.baselines()

    def check(self) -> None:
        self._problem.check()


class _Recorded:
    """A course as an evaluation."""

    def __init__(self, course: Course) -> None:
        self._left = [progress for _, progress in course]

    def step(self) -> Progress:
        return self._left.pop(0)

    def save(self, folder: Path) -> None:
        """Nothing: it is over in no time."""

    def load(self, folder: Path) -> None:
        """Nothing was saved."""
