"""Conditional parameters as an objective asks for them, and what else it may do to a space."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import Trial, TrialState

from invsearch.errors import InputError
from invsearch.search.sampler import CostAwareSampler
from invsearch.search.sampler.conditions import Condition, canonical_by, learnt_conditions
from invsearch.surrogate.encoding import Encoder
from invsearch.surrogate.gp import fit

SPACE: dict[str, BaseDistribution] = {"x": IntDistribution(0, 40), "y": IntDistribution(0, 40)}
KINDS: dict[str, BaseDistribution] = {
    "kind": CategoricalDistribution(["a", "b", "c"]),
    "layers": IntDistribution(1, 4),
    "of_a": FloatDistribution(0, 1),
    "third": IntDistribution(1, 9),
    "inner": IntDistribution(1, 9),
}


def bowl(trial: Trial) -> float:
    return (
        (trial.suggest_int("x", 0, 40) - 31) ** 2 + (trial.suggest_int("y", 0, 40) - 7) ** 2 + 1.0
    )


def kinds(trial: Trial) -> float:
    if trial.suggest_categorical("kind", ["a", "b", "c"]) == "a":
        trial.suggest_float("of_a", 0, 1)
    if trial.suggest_int("layers", 1, 4) >= 3 and trial.suggest_int("third", 1, 9) <= 4:
        trial.suggest_int("inner", 1, 9)
    return 1.0


def distinct(study: optuna.Study) -> int:
    return len({tuple(sorted(trial.params.items())) for trial in study.trials})


def test_conditions_are_what_the_objective_says() -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    study.optimize(kinds, n_trials=80)
    assert learnt_conditions(Encoder(KINDS), study.trials) == (
        Condition("third", "layers", above=2.5),
        Condition("of_a", "kind", without=("b", "c")),
        Condition("inner", "third", below=4.5),
    )


def test_few_trials_are_luck_and_what_is_contradicted_is_forgotten() -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    study.optimize(kinds, n_trials=4)
    assert learnt_conditions(Encoder(KINDS), study.trials) == ()
    study.optimize(kinds, n_trials=40)
    assert any(one.name == "of_a" for one in learnt_conditions(Encoder(KINDS), study.trials))
    study.enqueue_trial({"kind": "b"})

    def changed(trial: Trial) -> float:
        trial.suggest_float("of_a", 0, 1)
        return kinds(trial)

    study.optimize(changed, n_trials=1)
    assert all(one.name != "of_a" for one in learnt_conditions(Encoder(KINDS), study.trials))


def test_what_is_dropped_is_what_is_not_asked_for() -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    study.optimize(kinds, n_trials=80)
    canonical = canonical_by(learnt_conditions(Encoder(KINDS), study.trials))
    for trial in study.trials:
        whole = {"of_a": 0.5, "third": 1, "inner": 1, **trial.params}
        if "third" not in trial.params:
            whole["inner"] = 1  # its parent is dropped, and so is it
        assert canonical(whole) == trial.params


def test_layers_as_many_as_a_parameter_says() -> None:
    """Better than chance by more than without what is learnt (12 seeds; .9 of chance then)."""

    def layers(trial: Trial) -> float:
        count = trial.suggest_int("layers", 1, 5)
        sizes = [trial.suggest_int(f"size{i}", 0, 20) for i in range(count)]
        return (
            1.0 + 2 * abs(count - 3) + sum(abs(size - 12 + i) for i, size in enumerate(sizes)) / 4
        )

    def best(sampler: type[optuna.samplers.BaseSampler]) -> float:
        found = []
        for seed in range(12):
            study = optuna.create_study(sampler=sampler(seed=seed))  # type: ignore[call-arg]
            study.optimize(layers, n_trials=40)
            found.append(study.best_value)
        return float(np.mean(found))

    assert best(CostAwareSampler) < 0.75 * best(optuna.samplers.RandomSampler)


@pytest.mark.parametrize("seed", range(3))
def test_a_trial_that_asks_for_nothing_of_the_space_says_nothing(seed: int) -> None:
    def objective(trial: Trial) -> float:
        if trial.number == 10:
            return trial.suggest_float("z", 0, 1) + 999.0
        return bowl(trial)

    study = optuna.create_study(sampler=CostAwareSampler(SPACE, seed=seed))
    study.optimize(objective, n_trials=50)
    assert distinct(study) == 50
    assert study.best_value < 3.0


def test_a_parameter_that_is_asked_for_from_now_on() -> None:
    """All of x was tried while nobody asked for y."""
    study = optuna.create_study(
        sampler=CostAwareSampler({**SPACE, "x": IntDistribution(0, 4)}, seed=0)
    )
    study.optimize(lambda trial: 1.0 + trial.suggest_int("x", 0, 4), n_trials=5)
    study.optimize(
        lambda trial: trial.suggest_int("x", 0, 4) + abs(trial.suggest_int("y", 0, 40) - 9) + 1.0,
        n_trials=20,
    )
    assert len({tuple(trial.params.items()) for trial in study.trials[5:]}) == 20


@pytest.mark.parametrize("objectives", [1, 2])
def test_all_counted_and_conditional(objectives: int) -> None:
    space: dict[str, BaseDistribution] = {
        "op": CategoricalDistribution(["conv", "inv"]),
        "k": IntDistribution(1, 7),
        "g": IntDistribution(1, 9),
    }

    def costs(params: Any) -> dict[int, float]:
        size = params["k"] ** 2 if params["op"] == "conv" else 3.0 * params["g"]
        return dict(enumerate([size, 1.0 / size][:objectives]))

    def objective(trial: Trial) -> list[float]:
        params = {"op": trial.suggest_categorical("op", ["conv", "inv"])}
        name, most = ("k", 7) if params["op"] == "conv" else ("g", 9)
        params[name] = trial.suggest_int(name, 1, most)
        return list(costs(params).values())

    directions = ["minimize"] * objectives
    study = optuna.create_study(
        directions=directions, sampler=CostAwareSampler(space, costs=costs, seed=0)
    )
    study.optimize(objective, n_trials=16)
    assert distinct(study) == 16
    undeclared = optuna.create_study(
        directions=directions, sampler=CostAwareSampler(costs=costs, seed=0)
    )
    undeclared.optimize(objective, n_trials=30)
    assert distinct(undeclared) == 16


FORBIDDEN = {"c": IntDistribution(1, 16), "g": IntDistribution(1, 16)}


def divided(params: Any) -> dict[int, float]:
    if params["c"] % params["g"]:
        raise ZeroDivisionError("groups must divide channels")
    return {1: params["c"] / params["g"]}


@pytest.mark.parametrize("state", [TrialState.FAIL, TrialState.COMPLETE, TrialState.PRUNED])
def test_costs_are_not_asked_of_what_is_forbidden(state: TrialState) -> None:
    study = optuna.create_study(
        directions=["minimize"] * 2,
        sampler=CostAwareSampler(
            FORBIDDEN, costs=divided, feasible=lambda p: p["c"] % p["g"] == 0, seed=0
        ),
    )
    study.enqueue_trial({"c": 7, "g": 2})
    told = [1.0, 3.5] if state == TrialState.COMPLETE else None
    study.tell(study.ask(FORBIDDEN), told, state=state)
    for _ in range(15):
        trial = study.ask(FORBIDDEN)
        assert trial.params["c"] % trial.params["g"] == 0
        study.tell(trial, [1.0 + trial.params["c"], trial.params["c"] / trial.params["g"]])


def test_costs_are_a_table_of_the_range_that_is_left() -> None:
    study = optuna.create_study(directions=["minimize"] * 2)
    for x in range(1, 9):
        trial = study.ask({"x": IntDistribution(1, 8)})
        study.tell(trial, [float(x), float(x)])
    table = {x: 1.0 / x for x in range(1, 5)}
    space = {"x": IntDistribution(1, 4)}
    study.sampler = CostAwareSampler(space, costs=lambda params: {1: table[params["x"]]}, seed=0)
    assert study.ask(space).params["x"] in table


def test_costs_that_a_valid_point_does_not_have_name_it() -> None:
    study = optuna.create_study(
        directions=["minimize"] * 2, sampler=CostAwareSampler(FORBIDDEN, costs=divided, seed=0)
    )
    with pytest.raises(ZeroDivisionError) as caught:
        study.ask(FORBIDDEN)
    assert "costs of {'c': 1, 'g': 2}" in caught.value.__notes__[0]
    assert "feasible" in caught.value.__notes__[0]


@pytest.mark.parametrize(
    ("space", "words"),
    [
        ({"X": IntDistribution(0, 40)}, "the search space has X"),
        ({"x": IntDistribution(0, 400)}, "the objective asks for IntDistribution(high=40"),
    ],
)
def test_a_parameter_that_is_drawn_at_random_is_said_once(
    space: dict[str, BaseDistribution], words: str
) -> None:
    said: list[str] = []
    heard = logging.Handler()
    heard.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    log = logging.getLogger("optuna.invsearch.search.sampler.sampler")
    verbosity = optuna.logging.get_verbosity()
    log.addHandler(heard)
    optuna.logging.set_verbosity(logging.WARNING)
    try:
        study = optuna.create_study(sampler=CostAwareSampler(space, seed=0))
        study.optimize(lambda trial: 1.0 + trial.suggest_int("x", 0, 40), n_trials=12)
        optuna.logging.set_verbosity(logging.ERROR)
        study = optuna.create_study(sampler=CostAwareSampler(space, seed=0))
        study.optimize(lambda trial: 1.0 + trial.suggest_int("x", 0, 40), n_trials=12)
    finally:
        log.removeHandler(heard)
        optuna.logging.set_verbosity(verbosity)
    assert len(said) == 1
    assert words in said[0]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"search_space": {"x": [1, 2]}}, r"search_space: x is \[1, 2\]"),
        ({"search_space": ["x"]}, "search_space is"),
        ({"costs": {1: 2}}, "costs is {1: 2}: it is a function"),
        ({"seed": -1}, "seed is -1"),
        ({"start": -1}, "start is -1"),
        ({"whole": 0.5}, "whole is 0.5"),
        ({"candidates": "abc"}, "candidates are a sequence of points"),
        ({"candidates": []}, "candidates are empty"),
        ({"candidates": [{"x": 1, "z": 1}]}, "z of .* is no parameter of the search space"),
    ],
)
def test_what_is_no_option_is_said_at_once(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        CostAwareSampler(**{"search_space": SPACE, **options})


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"costs": lambda p: 5.0}, "costs gave 5.0 for {'x': 0, 'y': 0}: it gives a mapping"),
        ({"costs": lambda p: None}, "costs gave None"),
        ({"costs": lambda p: {"1": 2.0}}, "costs gave objective '1'"),
        ({"costs": lambda p: {1: None}}, "each cost is a number"),
        ({"hints": lambda p: 2.0}, "hints are a sequence of numbers"),
        ({"hints": lambda p: [1.0] * (1 + p["y"] % 2)}, "hints gave 2 numbers for .*, and 1"),
        ({"candidates": [{"x": 41, "y": 0}]}, "x=41 of .* is no value of"),
    ],
)
def test_what_a_function_may_not_give_is_said_with_its_point(
    options: dict[str, Any], words: str
) -> None:
    study = optuna.create_study(
        directions=["minimize"] * 2, sampler=CostAwareSampler(SPACE, seed=0, **options)
    )
    with pytest.raises((InputError, ValueError), match=words):
        study.ask(SPACE)


def test_ranges_of_more_values_than_an_integer_counts() -> None:
    study = optuna.create_study(sampler=CostAwareSampler(seed=0))
    study.optimize(
        lambda trial: (
            trial.suggest_int("seed", 0, 2**64 - 1) / 2**60
            + trial.suggest_float("fine", 0, 1, step=1e-20)
        ),
        n_trials=15,
    )
    assert study.best_value < 2.0


def test_optunas_own_retries_are_orphans() -> None:
    study = optuna.create_study(sampler=CostAwareSampler(SPACE, seed=0))
    failed = study.ask(SPACE)
    study.tell(failed, state=TrialState.FAIL)
    study.add_trial(
        optuna.trial.create_trial(
            value=1.0,
            params=failed.params,
            distributions=SPACE,
            system_attrs={"failed_trial": 0, "retry_history": [0]},
        )
    )
    sampler = study.sampler
    assert isinstance(sampler, CostAwareSampler)
    history = sampler._prepared(study, SPACE, study.trials).read(study.trials)
    assert not history.failed
    assert len(history.evaluated) == 1


def test_a_fit_that_took_everything_for_noise_begins_again() -> None:
    """Values that lie on a smooth curve, and a start at which noise explains them."""
    encoder = Encoder({"x": FloatDistribution(0, 1), "y": FloatDistribution(0, 1)})
    rows = np.random.default_rng(0).random((24, 2))
    values = np.sin(9 * rows[:, 0]) + rows[:, 1]
    y = (values - values.mean()) / values.std()
    x = encoder.with_costs(rows, np.empty((24, 0)))
    free = fit(x, y, np.zeros(24))
    stuck = fit(x, y, np.zeros(24), iterations=0)
    stuck = type(stuck)(**{**stuck.__dict__, "signal": -6.0, "additive": -9.0, "noise": -0.05})
    assert fit(x, y, np.zeros(24), start=stuck, iterations=30).noise < -4.0
    assert free.noise < -4.0
