"""What stopped at a rung goes on when it is among the best, once and from where it was."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from invsearch.evaluation import Progress
from invsearch.metrics import Metric
from invsearch.runs import RunFolder, Trial, load_run
from invsearch.runs.curves import CurvePoint
from invsearch.search.agreement import check_agreement
from invsearch.search.executors.evaluate import task_of
from invsearch.search.executors.serial import run_serial
from invsearch.search.halving import Halving
from invsearch.search.promotion import MOST_PAUSED, Paused
from invsearch.search.proposal import Proposal
from invsearch.search.session import Session
from invsearch.testing.curves import EPOCHS, Curves, session
from invsearch.testing.problems import told

RUNGS = (1, 3)
TRIALS = 24


def curves(folder: Path, **search: object) -> Curves:
    folder.mkdir(exist_ok=True)
    settings = {"rungs": RUNGS, "promote": True, "strategy": "random", "seed": 11}
    return Curves(folder, **{**settings, **search})


def searched(problem: Curves, folder: Path, capacity: int = 3) -> Session:
    folder.mkdir(exist_ok=True)
    run = session(problem, folder, TRIALS, capacity)
    run_serial(run)
    run.close()
    return run


def ended(folder: Path) -> tuple[list[Trial], list[CurvePoint]]:
    trials = sorted(RunFolder(folder).trials(), key=lambda trial: trial.number)
    points = sorted(RunFolder(folder).curves.read(), key=lambda point: point.key)
    return told(trials), [replace(point, seconds=None) for point in points]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Curves]:
    folder = tmp_path_factory.mktemp("whole")
    problem = curves(folder)
    searched(problem, folder / "run")
    return folder / "run", problem


def test_a_promotion_goes_on_with_the_same_trial(whole: tuple[Path, Curves]) -> None:
    """The log has one line for each trial, what it came to has its own, and nothing ran twice."""
    folder, problem = whole
    lines = [json.loads(line) for line in (folder / "trials.jsonl").read_text().splitlines()]
    promoted = RunFolder(folder).promotions()
    assert [line["number"] for line in lines] == list(range(TRIALS))
    assert {trial.state for trial in promoted} >= {"complete"}
    stopped = {line["number"]: line for line in lines if line["state"] == "stopped"}
    run = load_run(folder)
    for trial in promoted:
        assert trial.number in stopped
        assert trial.seed == stopped[trial.number]["seed"]
        assert trial.started == stopped[trial.number]["started"]
    last = {trial.number: trial.state for trial in promoted}
    assert all(run.trials[number].state == state for number, state in last.items())
    steps = Counter(point.trial for point in run.points)
    assert problem.epochs == sum(steps.values()), "an epoch was trained twice"
    for trial in run.trials:
        assert steps[trial.number] == (EPOCHS if trial.state == "complete" else steps[trial.number])
    check_agreement(RunFolder(folder))


def test_no_checkpoint_is_left(whole: tuple[Path, Curves]) -> None:
    assert not list(whole[0].glob("checkpoints/*"))


def test_stopped_trials_that_none_promotes_end_as_without_it(tmp_path: Path) -> None:
    run = searched(curves(tmp_path, promote=False), tmp_path / "run")
    assert not run.promotes
    assert not RunFolder(tmp_path / "run").promotions()


class Killed(BaseException):
    """Nothing catches it, and nothing is written after it."""


class Fragile(Session):
    """A session whose process dies at some point."""

    left = -1

    def judge(self, proposal: Proposal, progress: Progress) -> bool:
        stops = super().judge(proposal, progress)
        self._spend()
        return stops

    def finish(self, proposal: Proposal, outcome: object) -> None:
        super().finish(proposal, outcome)  # type: ignore[arg-type]
        self._spend()

    def _spend(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise Killed


@pytest.mark.parametrize("every", [7, 10, 23])
def test_kills_change_nothing(tmp_path: Path, whole: tuple[Path, Curves], every: int) -> None:
    """Again and again, in paused trials and promotions alike."""
    folder, problem = tmp_path / "run", curves(tmp_path)
    folder.mkdir()
    for _ in range(200):
        run = session(problem, folder, TRIALS, 3)
        run.__class__ = Fragile
        run.left = every  # type: ignore[attr-defined]
        try:
            run_serial(run)
        except Killed:
            continue
        run.close()
        break
    assert ended(folder) == ended(whole[0])
    assert not list(folder.glob("checkpoints/*"))


def test_a_torn_promotion_is_written_again(tmp_path: Path) -> None:
    problem = curves(tmp_path)
    searched(problem, tmp_path / "run")
    log = tmp_path / "run" / "promotions.jsonl"
    log_before = log.read_bytes()
    log.write_bytes(log_before[:-30])
    run = session(problem, tmp_path / "run", TRIALS)
    assert run.finished
    assert log.read_bytes() == log_before


def test_without_batches_the_budget_is_kept(tmp_path: Path) -> None:
    problem = curves(tmp_path)
    (tmp_path / "run").mkdir()
    most = 0

    class Watching(Session):
        def finish(self, proposal: Proposal, outcome: object) -> None:
            nonlocal most
            super().finish(proposal, outcome)  # type: ignore[arg-type]
            most = max(most, len(list((tmp_path / "run").glob("checkpoints/*"))))

    run = Watching(problem, RunFolder(tmp_path / "run"), environment="", trials=80, capacity=4)
    run_serial(run)
    run.close()
    trials = run.folder.trials()
    assert [trial.number for trial in run.folder.logged()] == [t.number for t in trials]
    assert sorted(trial.number for trial in trials) == list(range(80))
    assert run.folder.promotions()
    assert 0 < most <= MOST_PAUSED + run.capacity


def test_only_what_may_still_go_on_is_kept() -> None:
    """With so few trials left that none could put it among the best, it goes at once."""
    halving = Halving({"error": "minimize"}, rungs=[1], grace=1)
    for number, error in enumerate([1.0, 2.0, 3.0, 4.0]):
        halving.record(number, 1, {"error": Metric("error", error, "trained")})
    dropped: list[int] = []
    paused = Paused(halving, dropped.append)
    paused.add(Trial(number, "stopped", None) for number in (2, 3))  # type: ignore[arg-type]
    assert paused.first() is None
    paused.trim(left=1)
    assert (paused.numbers, dropped) == ([2], [3])
    halving.record(4, 1, {"error": Metric("error", 9.0, "trained")})
    assert paused.first() == 2
    assert paused.take(2) == 1
    assert paused.first() is None


def test_order_of_promotions() -> None:
    """The highest rung first, and there the best."""
    halving = Halving({"error": "minimize"}, rungs=[1, 3], grace=9)
    for number, error in enumerate([4.0, 3.0, 2.0]):
        halving.record(number, 1, {"error": Metric("error", error, "trained")})
    halving.record(0, 3, {"error": Metric("error", 4.0, "trained")})
    paused = Paused(halving, lambda number: None)
    paused.add(Trial(number, "stopped", None) for number in range(3))  # type: ignore[arg-type]
    order = []
    while (number := paused.first()) is not None:
        order.append((number, paused.take(number)))
    assert order == [(0, 3), (2, 1), (1, 1)]
    assert all(before[1] >= after[1] for before, after in pairwise(order))


def test_what_runs_on_ray_promotes_as_here(tmp_path: Path, whole: tuple[Path, Curves]) -> None:
    """One worker's evaluations, stopped as Tune does it: a trial is saved when the next begins."""
    from invsearch.search.executors.ray.checkpoints import Checkpoints
    from invsearch.search.executors.ray.trainable import EvaluationTrainable, unpack

    problem = curves(tmp_path)
    (tmp_path / "run").mkdir()
    run = session(problem, tmp_path / "run", TRIALS, 3)
    checkpoints = Checkpoints(run.folder, None)
    run.discard = checkpoints.drop
    worker = object.__new__(EvaluationTrainable)  # without what Tune adds to it
    worker.setup({"threads": 1, **_config(run, run.ask())}, problem=problem)
    for proposal in run.running:  # the first of the first batch
        _evaluate_there(run, worker, proposal, unpack)
    while not run.finished:
        batch = []
        while (asked := run.ask()) is not None:
            batch.append(asked)
        for proposal in batch:
            worker.reset_config({"threads": 1, **_config(run, proposal)})
            _evaluate_there(run, worker, proposal, unpack)
    worker.cleanup()
    checkpoints.close(run.kept)
    run.close()
    assert ended(tmp_path / "run") == ended(whole[0])
    assert problem.epochs == whole[1].epochs
    assert not list((tmp_path / "run").glob("checkpoints/*"))


def _config(run: Session, proposal: Proposal | None) -> dict[str, Any]:
    assert proposal is not None
    return {"task": task_of(run, proposal).to_json(), "trial_s": None, "reports": False}


def _evaluate_there(run: Session, worker: Any, proposal: Proposal, unpack: Any) -> None:
    while True:
        progress, outcome = unpack(worker.step())
        if progress.done:
            break
        if run.judge(proposal, progress):
            outcome = replace(outcome, stopped=True)
            break
    run.finish(proposal, outcome)
