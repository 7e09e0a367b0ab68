"""Trials of others in the study: other workers', imported ones, parts of points, other ranges."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.trial import Trial, TrialState, create_trial

from invsearch.search.sampler import CostAwareSampler

KINDS = ["deep", "flat", "wide"]
SPACE: dict[str, BaseDistribution] = {
    "kind": CategoricalDistribution(KINDS),
    "size": IntDistribution(1, 12),
}


def costs(params: Mapping[str, Any]) -> dict[int, float]:
    return {1: params["size"] * {"deep": 3.0, "flat": 1.0, "wide": 2.0}[params["kind"]]}


def canonical(params: Mapping[str, Any]) -> Mapping[str, Any]:
    # None > 1 is a TypeError, as users' functions raise it
    return {**params, "size": params["size"] if params.get("size") > 1 else 1}  # type: ignore[operator]


def evaluate(trial: Trial) -> tuple[float, float]:
    kind, size = (
        trial.suggest_categorical("kind", KINDS),
        trial.suggest_int("size", 1, 12),
    )
    return 1.0 + abs(size - 5) + (kind == "flat"), costs({"kind": kind, "size": size})[1]


def begun(**options: Any) -> optuna.Study:
    sampler = CostAwareSampler(SPACE, costs=costs, seed=0, **options)
    return optuna.create_study(directions=["minimize"] * 2, sampler=sampler)


@pytest.mark.parametrize("options", [{}, {"canonical": canonical}])
@pytest.mark.parametrize("part", [{"size": 3}, {"kind": "flat"}])
@pytest.mark.parametrize("how", ["enqueued", "imported", "of another worker"])
def test_a_part_of_a_point_is_asked_for_no_costs(
    how: str, part: dict[str, Any], options: dict[str, Any]
) -> None:
    study = begun(**options)
    if how == "enqueued":
        study.enqueue_trial(part)
        study.enqueue_trial({**part})
    elif how == "imported":
        (name,) = part
        done = create_trial(params=part, distributions={name: SPACE[name]}, values=[9.0, 1.0])
        study.add_trial(done)
    else:
        other = optuna.load_study(
            study_name=study.study_name,
            storage=study._storage,
            sampler=optuna.samplers.RandomSampler(),
        )
        for name in part:
            other.ask()._suggest(name, SPACE[name])
    study.optimize(evaluate, n_trials=12)
    done = [t for t in study.get_trials(states=[TrialState.COMPLETE]) if len(t.params) == 2]
    assert len({(t.params["kind"], t.params["size"]) for t in done}) == 12


@pytest.mark.parametrize("shared", ["one sampler for two studies", "told by another sampler"])
def test_a_proposal_is_in_the_study_and_not_in_the_sampler(shared: str, tmp_path: Path) -> None:
    """What an objective never asked for stays known to whoever goes on."""
    sampler = CostAwareSampler(SPACE, seed=0)
    file = f"sqlite:///{tmp_path}/study.db"
    study = optuna.create_study(storage=file, study_name="a", sampler=sampler)
    elsewhere = optuna.create_study(sampler=sampler)
    teller = optuna.load_study(
        storage=file, study_name="a", sampler=CostAwareSampler(SPACE, seed=1)
    )
    points = set()
    for _ in range(25):  # twelve deep, twelve wide, and what is flat
        trial = study.ask()
        if shared.startswith("one"):
            elsewhere.tell(elsewhere.ask(SPACE), 1.0)
        kind = trial.suggest_categorical("kind", KINDS)
        size = 0 if kind == "flat" else trial.suggest_int("size", 1, 12)
        points.add((kind, size))
        (study if shared.startswith("one") else teller).tell(trial.number, 5.0 + size)
    assert len(points) == 25


@pytest.mark.parametrize("options", [{}, {"canonical": canonical}])
def test_costs_of_what_was_not_asked_for(options: dict[str, Any]) -> None:
    """A part of a point that costs cannot be asked of is one point still, and not every point."""
    study = begun(**options)
    for _ in range(25):
        trial = study.ask()
        kind = trial.suggest_categorical("kind", KINDS)
        size = 1 if kind == "flat" else trial.suggest_int("size", 1, 12)
        study.tell(trial, [1.0 + abs(size - 5), float(size)])
    points = {tuple(trial.params.values()) for trial in study.trials}
    assert len(points) == 25


def test_what_is_fixed_blocks_no_other_point() -> None:
    """Enqueued points that are not valid are evaluated as they are, instead of what fits them."""
    sampler = CostAwareSampler(SPACE, feasible=lambda point: point["size"] > 1, seed=0)
    study = optuna.create_study(sampler=sampler)
    for _ in range(5):
        study.enqueue_trial({"size": 1})
    for _ in range(5 + 33):
        trial = study.ask(SPACE)
        study.tell(trial, float(trial.params["size"]))
    valid = {tuple(trial.params.values()) for trial in study.trials if trial.params["size"] > 1}
    assert len(valid) == 33


def test_a_point_whose_worker_died_before_it_began_is_tried_again() -> None:
    study = begun()
    evaluated = set()
    for number in range(36):
        trial = study.ask()
        if number == 9:
            study.tell(trial, state=TrialState.FAIL)  # as a heartbeat does
            continue
        values = evaluate(trial)
        evaluated.add(tuple(trial.params.values()))
        study.tell(trial, values)
    lost = study.ask()
    evaluate(lost)
    assert tuple(lost.params.values()) not in evaluated
    assert len(evaluated) == 35


def test_a_choice_that_there_is_no_more() -> None:
    study = begun()
    study.ask().suggest_int("size", 1, 12)
    fewer = {**SPACE, "kind": CategoricalDistribution(["deep"])}
    study.sampler = CostAwareSampler(fewer, costs=costs, seed=0)
    for _ in range(3):
        trial = study.ask()
        trial.suggest_int("size", 1, 12)
        assert trial.suggest_categorical("kind", ["deep"]) == "deep"


def test_all_counted_one_sampler_serves_two_studies() -> None:
    space = {name: IntDistribution(0, 14) for name in "ab"}

    def sampler() -> CostAwareSampler:
        return CostAwareSampler(space, costs=lambda p: {0: abs(p["a"] - 7.0) + p["b"]}, seed=0)

    def ask(study: optuna.Study) -> None:
        trial = study.ask(space)
        study.tell(trial, abs(trial.params["a"] - 7.0) + trial.params["b"])

    shared = sampler()
    both = [optuna.create_study(sampler=one) for one in (shared, shared, sampler())]
    for _ in range(110):
        ask(both[0])
    for study in both[1:]:
        for _ in range(110):
            ask(study)
    assert [t.params for t in both[1].trials] == [t.params for t in both[2].trials]


def test_all_counted_and_drawn_alone_is_searched_for_the_best() -> None:
    space = {name: IntDistribution(0, 99) for name in "abcd"}

    def draw(rng: random.Random, count: int) -> list[dict[str, int]]:
        return [{name: rng.randint(0, 99) for name in "abcd"} for _ in range(count)]

    def cost(point: Mapping[str, Any]) -> float:
        return float(sum((point[name] - 50) ** 2 for name in "abcd"))

    sampler = CostAwareSampler(space, costs=lambda p: {0: cost(p)}, candidates=draw, seed=0)
    study = optuna.create_study(sampler=sampler)
    study.tell(trial := study.ask(space), cost(trial.params))
    assert study.best_value < 400  # of 10,000 that are drawn; one at random is at 3,300


@pytest.mark.parametrize("what", ["a constraint", "failures"])
def test_what_costs_do_not_foretell_is_learnt_where_all_is_counted(what: str) -> None:
    """The cheapest are no good: without a model it went up from them, one by one."""
    space = {name: IntDistribution(1, 100) for name in ("width", "depth")}
    sampler = CostAwareSampler(space, costs=lambda p: {0: float(p["width"] * p["depth"])}, seed=0)
    study = optuna.create_study(sampler=sampler)

    def objective(trial: Trial) -> float:
        area = trial.suggest_int("width", 1, 100) * trial.suggest_int("depth", 1, 100)
        if what == "failures" and area < 1600:
            raise OSError("it does not fit")
        trial.set_constraint("accuracy", 1600.0 - area)
        return float(area)

    study.optimize(objective, n_trials=40, catch=(OSError,))
    good = [trial.value for trial in study.trials if trial.value and trial.value >= 1600]
    assert good
    assert min(good) < 2500


def test_a_range_that_was_wider_before() -> None:
    space = {name: IntDistribution(0, 400) for name in "xyz"}

    def far(trial: Trial) -> float:  # the best is out of what is searched later
        values = [trial.suggest_int(name, 0, space[name].high) for name in "xyz"]
        return float(sum(abs(value - 300) for value in values))

    study = optuna.create_study(sampler=CostAwareSampler(space, seed=0))
    study.optimize(far, n_trials=12)
    space = {name: IntDistribution(0, 150) for name in "xyz"}
    study.sampler = CostAwareSampler(space, seed=0)
    for _ in range(8):
        (proposed,) = study.sampler.propose(study)
        assert all(0 <= value <= 150 for value in proposed.values())
        study.optimize(far, n_trials=1)
    points = [tuple(trial.params.values()) for trial in study.trials[12:]]
    assert len(set(points)) == 8
    assert (150, 150, 150) in points


def test_what_trials_report_for_pruners_is_what_the_attributes_say() -> None:
    proposals = []
    for told in (False, True):
        study = optuna.create_study(
            sampler=CostAwareSampler(SPACE, seed=0), pruner=optuna.pruners.MedianPruner(4)
        )

        def objective(trial: Trial, told: bool = told) -> float:
            flat = trial.suggest_categorical("kind", KINDS) == "flat"
            worth = 2.0 + abs(trial.suggest_int("size", 1, 12) - 5) + 2 * flat
            rungs = {str(step): [worth + 3 / step] for step in (1, 2, 4)}
            for step, values in rungs.items():
                trial.report(values[0], int(step))
                if trial.should_prune():
                    if told:
                        trial.set_user_attr("partial", {"fidelity": int(step), "values": values})
                    raise optuna.TrialPruned
            if told:
                trial.set_user_attr("rungs", rungs)
            return worth

        study.optimize(objective, n_trials=24)
        assert any(trial.state == TrialState.PRUNED for trial in study.trials)
        assert study.best_value == 2.0
        proposals.append([trial.params for trial in study.trials])
    assert proposals[0] == proposals[1]


TWO_THREADS = """
import threading
import optuna
from optuna.distributions import IntDistribution
from threadpoolctl import ThreadpoolController
from invsearch.search.sampler import CostAwareSampler

def threads():
    libraries = ThreadpoolController().info()
    return [one["num_threads"] for one in libraries if one["user_api"] == "blas"]

def search():
    space = {name: IntDistribution(0, 30) for name in "abc"}
    study = optuna.create_study(sampler=CostAwareSampler(space, seed=0, start=3))
    for _ in range(20):
        trial = study.ask(space)
        study.tell(trial, float(sum(trial.params.values())))

before = threads()
others = [threading.Thread(target=search) for _ in range(3)]
for other in others:
    other.start()
for other in others:
    other.join()
assert set(before) == {2}, before
assert threads()[: len(before)] == before, threads()
"""


def test_searches_in_threads_leave_the_threads_of_numpy_as_they_were() -> None:
    """In a process of its own, where more than one thread is the rule."""
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "2", "OMP_NUM_THREADS": "2"}
    command = [sys.executable, "-c", TWO_THREADS]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
