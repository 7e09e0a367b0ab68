"""Successive halving stops what is dominated and weak, and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy import invsearch, passed

from invsearch import load_run
from invsearch.metrics import Metric
from invsearch.search.executors.serial import run_serial
from invsearch.search.halving import Halving, dominance_rank
from invsearch.search.sampler.boxes import hypervolume
from invsearch.testing.curves import Curves, session

OBJECTIVES = {"val_loss": "minimize", "top1": "maximize"}


def metrics(loss: float, top1: float) -> dict[str, Metric]:
    return {
        "val_loss": Metric("val_loss", loss, "trained"),
        "top1": Metric("top1", top1, "trained"),
    }


def test_weak_trial_stops_and_strong_goes_on() -> None:
    halving = Halving(OBJECTIVES, rungs=[3], grace=4)
    for number, loss in enumerate([1.0, 2.0, 3.0, 4.0]):
        halving.record(number, 3, metrics(loss, -loss))
    assert [halving.stops(n, 3) for n in range(4)] == [False, False, True, True]


def test_what_breaks_a_bound_does_not_stop_what_does_not() -> None:
    """Where error falls with size, all that is better than the best feasible trial is too large."""
    halving = Halving(
        {"val_loss": "minimize"},
        rungs=[3],
        grace=2,
        bounded=["top1"],
        violations=lambda metrics: {"top1": metrics["top1"].value - 4},
    )
    for number, size in enumerate([8.0, 7.0, 6.0, 5.0, 4.0, 3.0]):
        halving.record(number, 3, metrics(10 - size, size))
    assert not halving.stops(4, 3)
    assert halving.stops(5, 3)


BOUNDED = """
def learning(values, context):
    metrics = {"error": 10.0 - values["x"] + 0.01 * values["k"], "memory": float(values["x"])}
    for epoch in range(1, 6):
        if context.report(epoch, metrics):
            break
    return metrics
"""


@pytest.mark.parametrize("strategy", ["random", "cost_aware"])
def test_a_search_completes_its_best_feasible_trial(tmp_path: Path, strategy: str) -> None:
    """Though all that breaks the measured bound has smaller errors at every rung."""
    (tmp_path / "bounded_learning.py").write_text(BOUNDED)
    (tmp_path / "bounded.yaml").write_text(
        "name: bounded\n"
        "objectives: {error: minimize}\n"
        "constraints: {memory: {max: 4}}\n"
        "params: {x: {range: [1, 9]}, k: {range: [0, 9]}}\n"
        "evaluator: bounded_learning:learning\n"
        f"search: {{trials: 24, seed: 1, strategy: {strategy}, rungs: [1, 3]}}\n"
    )
    passed(invsearch(tmp_path, "run", "bounded.yaml", "--executor", "serial"))
    trials = load_run(tmp_path / "results" / "bounded").trials
    feasible = [trial for trial in trials if trial.architecture["x"] <= 4]
    assert len(feasible) < len(trials)
    assert any(trial.state == "stopped" for trial in trials)
    assert min(feasible, key=lambda trial: trial.metrics["error"].value).state == "complete"


def test_nothing_stops_before_the_rung_has_seen_enough() -> None:
    halving = Halving(OBJECTIVES, rungs=[3], grace=4)
    for number, loss in enumerate([1.0, 2.0, 3.0]):
        halving.record(number, 3, metrics(loss, -loss))
    assert not any(halving.stops(n, 3) for n in range(3))


def test_only_the_trials_named_are_compared() -> None:
    halving = Halving(OBJECTIVES, rungs=[3], grace=2)
    for number, loss in enumerate([1.0, 2.0, 3.0]):
        halving.record(number, 3, metrics(loss, -loss))
    assert halving.stops(2, 3)
    assert not halving.stops(2, 3, before=0)


def test_another_rung_is_not_compared() -> None:
    halving = Halving(OBJECTIVES, rungs=[3, 6], grace=2)
    for number, loss in enumerate([1.0, 2.0, 3.0, 4.0]):
        halving.record(number, 3, metrics(loss, -loss))
    halving.record(4, 6, metrics(99.0, -99.0))
    assert not halving.stops(4, 6)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=20))
def test_a_trial_that_nothing_dominates_never_stops(points: list[tuple[int, int]]) -> None:
    halving = Halving(OBJECTIVES, rungs=[1], reduction_factor=4, grace=1)
    for number, (loss, top1) in enumerate(points):
        halving.record(number, 1, metrics(loss, top1))
    signed = [(loss, -top1) for loss, top1 in points]
    for number, point in enumerate(signed):
        if dominance_rank(point, signed) == 0:
            assert not halving.stops(number, 1)


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=16),
    st.lists(st.tuples(st.integers(0, 15), st.none() | st.integers(0, 16)), max_size=8),
)
def test_what_is_kept_up_to_date_is_what_counting_anew_gives(
    points: list[tuple[int, int]], asked: list[tuple[int, int | None]]
) -> None:
    """Numbers of any order come, are judged against any bound, and come again with other values."""
    halving, seen = Halving(OBJECTIVES, rungs=[1], grace=3), {}
    for place, (loss, top1) in enumerate(points):
        number = place * 7 % 11
        halving.record(number, 1, metrics(loss, top1))
        seen[number] = (loss, -top1)
        for other, before in asked:
            among = [seen[n] for n in seen if n != other and (before is None or n < before)]
            weak = other in seen and len(among) + 1 >= 3
            if weak:
                rank = dominance_rank(seen[other], among)
                better = [p for p in among if dominance_rank(p, [*among, seen[other]]) < rank]
                weak = rank > 0 and len(better) >= (len(among) + 1) / 2
            assert halving.stops(other, 1, before) == weak


def spent_and_found(folder: Path, rungs: tuple[int, ...]) -> tuple[int, float]:
    """Epochs, and the share of the true hypervolume, after thirty trials of at most 9 epochs."""
    problem = Curves(folder, rungs=rungs)
    (folder / "run").mkdir()
    run = session(problem, folder / "run", 30)
    run_serial(run)
    run.close()
    complete = [trial for trial in run.trials if trial.state == "complete"]
    found = np.array([problem.row(trial.architecture)[:2] for trial in complete])
    everything = np.array([row[:2] for row in problem.table.values()])
    worst = everything.max(axis=0)
    return problem.epochs, hypervolume(found, worst) / hypervolume(everything, worst)


def test_what_halving_saves(tmp_path: Path) -> None:
    """A quarter of the epochs and more, for little of the front; what stopped is not on it."""
    (tmp_path / "all").mkdir()
    (tmp_path / "halved").mkdir()
    epochs, found = spent_and_found(tmp_path / "all", ())
    fewer, kept = spent_and_found(tmp_path / "halved", (1, 3))
    assert epochs == 30 * 9
    assert fewer < 0.75 * epochs
    assert kept == pytest.approx(found, abs=0.05)
