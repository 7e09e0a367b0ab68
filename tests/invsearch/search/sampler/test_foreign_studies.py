"""What a study of somebody else's may hold: none of it ends the search."""

from __future__ import annotations

import math
import random
import sys
from collections.abc import Callable
from typing import Any

import optuna
import pytest
from optuna.distributions import BaseDistribution, IntDistribution
from optuna.trial import Trial

from invsearch.errors import InputError
from invsearch.search.sampler import CostAwareSampler

SPACE: dict[str, BaseDistribution] = {
    "x": IntDistribution(0, 20, step=2),
    "y": IntDistribution(0, 9),
}


def searched(tell: Callable[[Trial], None], trials: int = 14, **options: Any) -> optuna.Study:
    study = optuna.create_study(sampler=CostAwareSampler(SPACE, seed=0, **options))

    def objective(trial: Trial) -> float:
        tell(trial)
        return (trial.suggest_int("x", 0, 20, step=2) - 8) ** 2 + trial.suggest_int("y", 0, 9)

    study.optimize(objective, n_trials=trials)
    return study


@pytest.mark.parametrize("name", ["sigma", "partial", "rungs"])
@pytest.mark.parametrize("value", [0.1, True, "no", [math.inf], {"a": 1}, [1, 2, 3], None])
def test_attributes_of_the_same_names(name: str, value: object) -> None:
    study = searched(lambda trial: trial.set_user_attr(name, value))
    assert len(study.trials) == 14
    assert study.best_value < 10


def test_noise_is_read_of_any_list() -> None:
    """One that says the values are certain, and one that says nothing is, do not propose alike."""
    certain = searched(lambda trial: trial.set_user_attr("sigma", [0.0]), 20)
    doubtful = searched(lambda trial: trial.set_user_attr("sigma", (200.0,)), 20)
    assert [t.params for t in certain.trials] != [t.params for t in doubtful.trials]


@pytest.mark.parametrize("unbounded", [math.inf, -math.inf])
def test_constraints_without_end(unbounded: float) -> None:
    def tell(trial: Trial) -> None:
        large = trial.suggest_int("x", 0, 20, step=2) > 10
        trial.set_constraint("memory", abs(unbounded) if large else min(unbounded, -1.0))

    study = searched(tell)
    assert study.best_trial.params["x"] <= 10


@pytest.mark.filterwarnings("ignore:Fixed parameter")  # Optuna says it, and takes the value
@pytest.mark.parametrize("given", [{"x": 3}, {"x": 99}, {"y": 5}])
@pytest.mark.parametrize(
    "options",
    [{}, {"feasible": lambda params: params["y"] != 5}, {"candidates": [{"x": 2, "y": 1}]}],
    ids=["all", "feasible", "listed"],
)
def test_a_part_of_a_point_that_is_none(given: dict[str, int], options: dict[str, Any]) -> None:
    """A user's wish is evaluated, as by other samplers; the rest of it is chosen as if free."""
    study = optuna.create_study(sampler=CostAwareSampler(SPACE, seed=0, **options))
    study.enqueue_trial(given)
    trial = study.ask(SPACE)
    assert trial.params.items() >= given.items()
    study.tell(trial, 1.0)
    study.tell(study.ask(SPACE), 2.0)


@pytest.mark.filterwarnings("ignore:PartialFixedSampler is experimental")
@pytest.mark.parametrize("declared", [True, False])
def test_some_parameters_held(declared: bool) -> None:
    """A cost is a function of the whole point, what Optuna holds and takes out of it too."""
    own = CostAwareSampler(
        SPACE if declared else None, costs=lambda point: {1: point["x"] + point["y"]}, seed=0
    )
    study = optuna.create_study(directions=["minimize"] * 2, sampler=own)

    def objective(trial: Trial) -> tuple[float, float]:
        x, y = trial.suggest_int("x", 0, 20, step=2), trial.suggest_int("y", 0, 9)
        return (x - 8) ** 2 + (y - 3) ** 2, x + y

    study.optimize(objective, n_trials=8)
    held = {"x": 8, "elsewhere": 1}
    inner = optuna.samplers.PartialFixedSampler({"x": 2}, own)
    study.sampler = optuna.samplers.PartialFixedSampler(held, inner)  # the outer one decides
    study.optimize(objective, n_trials=6)
    points = [trial.params for trial in study.trials]
    assert all(point["x"] == 8 for point in points[8:])
    assert len({point["y"] for point in points if point["x"] == 8}) >= 6  # none twice


@pytest.mark.filterwarnings("ignore:Choices for a categorical")  # no storage keeps them
def test_choices_that_are_no_keys() -> None:
    choices = ([1, 2], {"a": 1}, (3, [4]), "plain")
    space = {"what": optuna.distributions.CategoricalDistribution(choices), **SPACE}
    study = optuna.create_study(sampler=CostAwareSampler(space, seed=0))
    for _ in range(12):
        trial = study.ask(space)
        study.tell(trial, choices.index(trial.params["what"]) + trial.params["y"])
    assert len({str(trial.params) for trial in study.trials}) == 12
    assert study.best_trial.params["what"] == [1, 2]


def proposals(unit: float, what: str) -> list[dict[str, Any]]:
    """Of a search in which one quantity, that is not positive throughout, is in some unit."""
    costs = (lambda params: {1: unit * params["y"]}) if what == "cost" else None
    sampler = CostAwareSampler(SPACE, seed=0, costs=costs)
    directions = ["maximize", "minimize"] if what == "cost" else ["maximize"]
    study = optuna.create_study(directions=directions, sampler=sampler)
    for _ in range(20):
        trial = study.ask(SPACE)
        x, y = trial.params["x"], trial.params["y"]
        score = -((x - 8.0) ** 2) - y
        if what == "constraint":
            trial.set_constraint("memory", unit * (x - 9.0))
        values = [score * (unit if what == "objective" else 1.0), unit * y]
        study.tell(trial, values[: len(directions)])
    return [trial.params for trial in study.trials]


@pytest.mark.parametrize("what", ["objective", "constraint", "cost"])
@pytest.mark.parametrize("power", [-1000, -600, -45, 300, 600, 990])
def test_a_unit_changes_nothing(what: str, power: int) -> None:
    """Powers of two, which change no digit."""
    assert proposals(2.0**power, what) == proposals(1.0, what)


@pytest.mark.parametrize("share", [2, 3, 10])
@pytest.mark.parametrize("penalty", [sys.float_info.max, -sys.float_info.max])
def test_penalties_as_large_as_numbers_get(share: int, penalty: float) -> None:
    direction = "minimize" if penalty > 0 else "maximize"
    study = optuna.create_study(direction=direction, sampler=CostAwareSampler(SPACE, seed=0))
    for number in range(20):
        trial = study.ask(SPACE)
        good = (trial.params["x"] - 8) ** 2 + trial.params["y"] + 1.0
        study.tell(trial, penalty if number % share == 1 else math.copysign(good, penalty))
    assert abs(study.best_value) < 10


@pytest.mark.parametrize("size", [30, 300])  # all listed, and a pool of them
def test_a_function_that_draws_says_alone_what_is_valid(size: int) -> None:
    space: dict[str, BaseDistribution] = {name: IntDistribution(0, size) for name in "ab"}

    def draw(rng: random.Random, count: int) -> list[dict[str, int]]:
        drawn = [rng.randint(0, size) for _ in range(count)]
        return [{"a": a, "b": size - a} for a in drawn]

    study = optuna.create_study(sampler=CostAwareSampler(space, candidates=draw, seed=0))
    for _ in range(16):
        trial = study.ask(space)
        assert trial.params["a"] + trial.params["b"] == size
        study.tell(trial, abs(trial.params["a"] - 7))
    assert len({trial.params["a"] for trial in study.trials}) == 16


def test_valid_points_may_be_rare() -> None:
    """One in 4,000: none is among the first that are drawn, and what they cost is known still."""
    space: dict[str, BaseDistribution] = {name: IntDistribution(0, 3999) for name in "ab"}
    sampler = CostAwareSampler(
        space,
        costs=lambda point: {1: 1.0 + point["a"]},
        feasible=lambda point: (point["a"] + point["b"]) % 4000 == 7,
        seed=0,
    )
    study = optuna.create_study(directions=["minimize"] * 2, sampler=sampler)
    for _ in range(8):
        trial = study.ask(space)
        assert sum(trial.params.values()) % 4000 == 7
        study.tell(trial, [1.0 + trial.params["b"], 1.0 + trial.params["a"]])
    first, second = (trial.params["a"] for trial in study.trials[:2])
    assert first + 1000 < second  # the ends in cost, of what was drawn


def test_proposals_without_a_trial_use_nothing_up() -> None:
    """Where all is counted, too: three times the same, and what is asked then."""
    sampler = CostAwareSampler(
        SPACE, costs=lambda p: {0: float((p["x"] - 8) ** 2 + p["y"])}, seed=0
    )
    study = optuna.create_study(sampler=sampler)
    batches = [sampler.propose(study, 2) for _ in range(3)]
    assert batches[0] == batches[1] == batches[2]
    assert study.ask(SPACE).params == batches[0][0]


def test_an_exhausted_space_repeats_what_is_allowed() -> None:
    sampler = CostAwareSampler(SPACE, feasible=lambda point: point["y"] >= 8, seed=0)
    study = optuna.create_study(sampler=sampler)
    forbidden = {"x": 8, "y": 0}
    study.add_trial(optuna.create_trial(params=forbidden, distributions=SPACE, value=0.0))
    study.optimize(
        lambda t: float(t.suggest_int("x", 0, 20, step=2) + t.suggest_int("y", 0, 9)), 30
    )
    assert all(trial.params["y"] >= 8 for trial in study.trials[1:])


def test_no_parameters_are_known_yet() -> None:
    study = optuna.create_study(sampler=CostAwareSampler(seed=0))
    with pytest.raises(InputError, match="give search_space"):
        study.sampler.propose(study)


def test_an_attribute_of_the_users_that_is_no_number_of_a_trial() -> None:
    study = searched(lambda trial: trial.set_user_attr("retry_of", [1, 2]))
    assert len(study.trials) == 14
