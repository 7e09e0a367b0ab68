"""The suite that every executor passes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from invsearch.evaluation import Evaluation, InstantEvaluation, Progress
from invsearch.metrics import Metric
from invsearch.plugins import EXECUTORS
from invsearch.problem.function import FunctionProblem
from invsearch.runs import RunFolder, Trial
from invsearch.runs.curves import CurvePoint
from invsearch.search.executors import Executor, Workers
from invsearch.search.proposal import Proposal
from invsearch.search.session import Outcome, Session
from invsearch.space.architecture import Architecture
from invsearch.testing.curves import Curves
from invsearch.testing.problems import landscape, searched, told

__all__ = ["ExecutorConformance"]

_STEPS = 4  # of an evaluation: enough for a rung and a kill between


class ExecutorConformance:
    """What a search asks of an executor.

    Inherit it, in a class whose name starts with ``Test``, and name the executor::

        class TestSlurm(ExecutorConformance):
            executor = "slurm"
    """

    executor = ""

    @pytest.fixture(scope="class")
    @classmethod
    def workers(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workers]:
        """The workers, opened once."""
        problem = landscape(tmp_path_factory.mktemp("opened"), parallel=2)
        with EXECUTORS.get(cls.executor, Executor).open(problem, None) as workers:
            assert workers.capacity >= 1
            yield workers

    def test_deterministic_results_are_the_serial_ones(
        self, workers: Workers, tmp_path: Path
    ) -> None:
        """Where evaluations run changes nothing, in batches told in order of number."""
        problem = landscape(tmp_path, strategy="nsga2", seed=3)
        assert _run(workers, problem, tmp_path / "here", 12) == _serially(problem, tmp_path, 12)

    def test_rungs_stop_the_same_trials(self, workers: Workers, tmp_path: Path) -> None:
        """Evaluations of several steps, some of them stopped."""
        problem = Curves(tmp_path, rungs=(1, 3), strategy="random")
        found = _run(workers, problem, tmp_path / "here", 12)
        assert {trial.state for trial in found} == {"complete", "stopped"}
        assert found == _serially(problem, tmp_path, 12)
        assert _curves(tmp_path / "here") == _curves(tmp_path / "serial")

    def test_promotions_are_the_serial_ones(self, workers: Workers, tmp_path: Path) -> None:
        """What stopped goes on from its checkpoint, wherever that is; none is left in the end."""
        problem = Curves(tmp_path, seed=11, rungs=(1, 3), strategy="random", promote=True)
        found = _run(workers, problem, tmp_path / "here", 14)
        assert RunFolder(tmp_path / "here").promotions()
        assert found == _serially(problem, tmp_path, 14)
        assert _curves(tmp_path / "here") == _curves(tmp_path / "serial")
        assert not list((tmp_path / "here").glob("checkpoints/*"))

    def test_without_batches_the_budget_is_kept(self, workers: Workers, tmp_path: Path) -> None:
        """In any order; each architecture once, and no checkpoint is left."""
        problem = landscape(tmp_path, strategy="random")
        session = _session(problem, tmp_path / "here", 10, workers.capacity, deterministic=False)
        workers.run(session)
        session.close()
        trials = session.folder.trials()
        assert sorted(trial.number for trial in trials) == list(range(10))
        assert len({trial.architecture.key for trial in trials}) == 10
        assert not list((tmp_path / "here").glob("checkpoints/*"))

    def test_what_an_evaluation_raises_is_its_trials_end(
        self, workers: Workers, tmp_path: Path
    ) -> None:
        """With the reason in words; the search goes on."""
        problem = landscape(tmp_path, evaluator="troubled", counted=False, strategy="exhaustive")
        trials = _run(workers, problem, tmp_path / "here", 36)
        errors = {t.architecture["depth"]: t.error or "" for t in trials if t.state == "failed"}
        assert errors.keys() == {1, 2, 3, 4}
        words = {1: "too shallow", 2: "not a finite", 3: "out of memory", 4: "size was not"}
        for depth, word in words.items():
            assert word in errors[depth]
        assert {t.architecture["depth"] for t in trials if t.state == "complete"} == {5, 6}

    def test_whatever_ends_an_evaluation_is_its_trials_end(
        self, workers: Workers, tmp_path: Path
    ) -> None:
        """It leaves, or raises what no ``except Exception`` sees; serial has the same reasons."""
        problem = landscape(tmp_path, evaluator="leaving", counted=False, strategy="exhaustive")
        trials = _run(workers, problem, tmp_path / "here", 36)
        errors = {t.architecture["depth"]: t.error or "" for t in trials if t.state == "failed"}
        assert errors.keys() == {1, 2, 3}
        for depth, word in {1: "SystemExit", 2: r"caf\udce9", 3: "KeyboardInterrupt"}.items():
            assert word in errors[depth]
            assert "traceback: errors/" in errors[depth]
        assert trials == _serially(problem, tmp_path, 36)

    def test_reports_from_within_an_evaluation_stop_it(
        self, workers: Workers, tmp_path: Path
    ) -> None:
        """At the rungs, as evaluations of several steps are stopped."""
        problem = landscape(tmp_path, evaluator="reporting", strategy="random", rungs=(2,))
        trials = _run(workers, problem, tmp_path / "here", 12)
        assert {trial.state for trial in trials} == {"complete", "stopped"}
        assert trials == _serially(problem, tmp_path, 12)
        assert _curves(tmp_path / "here") == _curves(tmp_path / "serial")

    def test_reports_are_kept_where_nothing_stops(self, workers: Workers, tmp_path: Path) -> None:
        """Every report of every trial is on its curve, with how long it took."""
        problem = landscape(tmp_path, evaluator="reporting", strategy="random")
        _run(workers, problem, tmp_path / "here", 3)
        points = RunFolder(tmp_path / "here").curves.read()
        assert sorted((p.trial, p.step) for p in points) == [
            (trial, step) for trial in range(3) for step in (1, 2, 3)
        ]
        assert all(point.seconds is not None and "error" in point.metrics for point in points)

    def test_an_evaluation_goes_on_from_what_it_saved(
        self, workers: Workers, tmp_path: Path
    ) -> None:
        """A kill left the first trial after three of its four steps."""
        saved = RunFolder(tmp_path / "here").checkpoint_dir(0)
        saved.mkdir(parents=True)
        (saved / "steps").write_text("3")
        problem = landscape(tmp_path, strategy="random")
        problem.__class__ = _Stepped
        trials = _run(workers, problem, tmp_path / "here", 2)
        assert [trial.metrics["taken"].value for trial in trials] == [1, _STEPS]

    def test_what_the_session_raises_comes_out(self, workers: Workers, tmp_path: Path) -> None:
        """A full disk, say, ends the search with its own error rather than in silence."""
        session = _Full(
            landscape(tmp_path, strategy="random"),
            RunFolder(tmp_path),
            environment="",
            trials=4,
            capacity=workers.capacity,
        )
        with pytest.raises(OSError, match="no space left"):
            workers.run(session)


class _Stepped(FunctionProblem):
    """Evaluations of four steps, which tell how many they took themselves."""

    def evaluation(self, architecture: Architecture, seed: int) -> Evaluation:
        return _Steps(super().evaluation(architecture, seed).step())


class _Steps(InstantEvaluation):
    def __init__(self, result: Progress) -> None:
        super().__init__(result.metrics)
        self._done = self._taken = 0

    def step(self) -> Progress:
        self._done, self._taken = self._done + 1, self._taken + 1
        taken = {"taken": Metric("taken", self._taken, "evaluated")}
        return Progress(self._done, self._done == _STEPS, {**self._metrics, **taken})

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "steps").write_text(str(self._done))

    def load(self, folder: Path) -> None:
        path = folder / "steps"
        self._done = int(path.read_text()) if path.exists() else 0


class _Full(Session):
    def finish(self, proposal: Proposal, outcome: Outcome) -> None:
        raise OSError("no space left")


def _session(
    problem: FunctionProblem, folder: Path, trials: int, capacity: int, *, deterministic: bool
) -> Session:
    folder.mkdir(exist_ok=True)
    return Session(
        problem,
        RunFolder(folder),
        environment="",
        trials=trials,
        capacity=capacity,
        deterministic=deterministic,
    )


def _run(workers: Workers, problem: FunctionProblem, folder: Path, trials: int) -> list[Trial]:
    session = _session(problem, folder, trials, 2, deterministic=True)
    workers.run(session)
    session.close()
    return told(sorted(session.folder.trials(), key=lambda trial: trial.number))


def _curves(folder: Path) -> list[CurvePoint]:
    """What must be equal in two searches."""
    points = RunFolder(folder).curves.read()
    assert points
    return sorted((replace(point, seconds=None) for point in points), key=lambda p: p.key)


def _serially(problem: FunctionProblem, folder: Path, trials: int) -> list[Trial]:
    return told(searched(problem, folder / "serial", trials))
