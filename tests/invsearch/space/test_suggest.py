"""Spaces asked through Optuna: define-by-run, active parameters alone."""

from __future__ import annotations

import random
import warnings

import optuna
import pytest

from invsearch.space import Parameter, Space, load_space_file

SAMPLERS = {
    "nsga2": lambda: optuna.samplers.NSGAIISampler(population_size=5, seed=0),
    "tpe": lambda: optuna.samplers.TPESampler(
        seed=0, n_startup_trials=5, multivariate=True, group=True
    ),
    "random": lambda: optuna.samplers.RandomSampler(seed=0),
}


@pytest.fixture(scope="module")
def rednet() -> Space:
    return load_space_file("rednet").space


@pytest.mark.parametrize("name", SAMPLERS)
def test_suggestions_are_members_and_ask_for_active_parameters_alone(
    name: str, rednet: Space
) -> None:
    study = _study(name)
    for _ in range(25):
        trial = study.ask()
        architecture = rednet.suggest(trial)
        assert architecture in rednet
        assert rednet.canonical(trial.params) == architecture
        if architecture.get("depth") == trial.params["depth"]:
            assert trial.params == architecture.to_json()
        study.tell(trial, (float(len(architecture)), float(architecture["width"])))


@pytest.mark.parametrize("name", SAMPLERS)
def test_an_enqueued_architecture_is_what_is_suggested(name: str, rednet: Space) -> None:
    study = _study(name)
    architecture = rednet.sample(random.Random(0))
    study.enqueue_trial(architecture.to_json())
    assert rednet.suggest(study.ask()) == architecture


def test_ranges_are_suggested_within_their_bounds() -> None:
    space = Space(
        [
            Parameter("n", None, 1, 9, 2, integer=True),
            Parameter("log", None, 1, 100, 1, log=True, integer=True),
            Parameter("x", None, 0.1, 1.0, 0.1),
            Parameter("y", None, 1e-3, 1.0, log=True),
        ]
    )
    study = _study("tpe")
    for _ in range(20):
        trial = study.ask()
        assert space.suggest(trial) in space
        study.tell(trial, (0.0, 0.0))
    for parameter in space.parameters:
        assert trial.distributions[parameter.name] == parameter.distribution()


def _study(name: str) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.create_study(directions=["minimize"] * 2, sampler=SAMPLERS[name]())
