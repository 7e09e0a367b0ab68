"""Optuna's own conformance suite for samplers, and what every study may ask of one."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.testing.pytest_samplers import (
    BasicSamplerTestCase,
    MultiObjectiveSamplerTestCase,
    RelativeSamplerTestCase,
)
from optuna.trial import TrialState

from invsearch.search.sampler import CostAwareSampler

optuna.logging.set_verbosity(optuna.logging.ERROR)

SPACE = {
    "op": CategoricalDistribution(["conv", "inv", "skip"]),
    "kernel": CategoricalDistribution([3, 5, 7]),
    "depth": IntDistribution(1, 4),
    "rate": FloatDistribution(1e-4, 1e-1, log=True),
    "drop": FloatDistribution(0.0, 0.5, step=0.1),
    "units": IntDistribution(8, 512, log=True),
}


def cost(params: Mapping[str, Any]) -> float:
    return float(params["depth"] * params["kernel"] ** 2 * params["units"])


def error(params: Mapping[str, Any]) -> float:
    op = {"conv": 0.2, "inv": 0.0, "skip": 1.0}[params["op"]]
    return 5.0 + op + 3.0 / params["depth"] + params["drop"] + 20.0 / params["units"] ** 0.5


class TestConformance(BasicSamplerTestCase, RelativeSamplerTestCase, MultiObjectiveSamplerTestCase):
    """The sampler passes Optuna's suite with no space declared: it infers one."""

    @pytest.fixture
    def sampler(self) -> Callable[[], BaseSampler]:
        return lambda: CostAwareSampler(seed=0)


@pytest.mark.parametrize(
    "directions",
    [["minimize"], ["maximize"], ["minimize", "maximize"], ["minimize"] * 3, ["maximize"] * 4],
)
@pytest.mark.parametrize("known", [False, True])
def test_every_kind_of_distribution_and_objective(directions: list[str], known: bool) -> None:
    """1 to 4 objectives of both directions, with and without a counted one, on a mixed space."""
    last = len(directions) - 1

    def values(params: Mapping[str, Any]) -> list[float]:
        signs = [1.0 if d == "minimize" else -1.0 for d in directions]
        found = [error(params), params["rate"] * 10, params["units"] / 9.0][:last]
        return [s * v for s, v in zip(signs, [*found, cost(params)], strict=True)]

    sampler = CostAwareSampler(
        SPACE, costs=(lambda params: {last: values(params)[last]}) if known else None, seed=1
    )
    study = optuna.create_study(directions=directions, sampler=sampler)
    for _ in range(14):
        trial = study.ask(SPACE)
        for name, distribution in SPACE.items():
            assert distribution._contains(distribution.to_internal_repr(trial.params[name]))
        study.tell(trial, values(trial.params))
    assert len({tuple(t.params.items()) for t in study.trials}) == 14


def conditional(trial: optuna.Trial) -> tuple[float, float]:
    if trial.suggest_categorical("op", ["conv", "inv"]) == "conv":
        kernel = trial.suggest_int("kernel", 1, 7, step=2)
        return 20.0 / kernel, float(kernel**2)
    groups = trial.suggest_categorical("groups", [4, 8, 16])
    return 15.0 / groups**0.5, 7.0 + groups


def test_define_by_run_with_conditional_parameters() -> None:
    """Without a declared space the conditional parameters are learnt from the trials."""
    study = optuna.create_study(
        directions=["minimize", "minimize"], sampler=CostAwareSampler(seed=0)
    )
    study.optimize(conditional, n_trials=15)
    assert all(t.state == TrialState.COMPLETE for t in study.trials)
    assert {tuple(sorted(t.params)) for t in study.trials} == {("kernel", "op"), ("groups", "op")}


def test_only_active_parameters_are_proposed() -> None:
    """With ``canonical`` the proposal holds the active parameters alone, and no point twice."""
    space = {
        "op": CategoricalDistribution(["conv", "inv"]),
        "kernel": IntDistribution(1, 7, step=2),
        "groups": CategoricalDistribution([4, 8, 16]),
    }

    def canonical(params: dict[str, Any]) -> dict[str, Any]:
        drop = "groups" if params["op"] == "conv" else "kernel"
        return {k: v for k, v in params.items() if k != drop}

    sampler = CostAwareSampler(space, canonical=canonical, seed=0)
    study = optuna.create_study(directions=["minimize", "minimize"], sampler=sampler)
    study.optimize(conditional, n_trials=7)
    assert len({tuple(sorted(t.params.items())) for t in study.trials}) == 7


def test_parallel_threads_get_distinct_points() -> None:
    """``n_jobs`` shares one sampler between threads: no proposal twice."""
    sampler = CostAwareSampler(SPACE, costs=lambda params: {1: cost(params)}, seed=0)
    study = optuna.create_study(directions=["minimize", "minimize"], sampler=sampler)

    def objective(trial: optuna.Trial) -> tuple[float, float]:
        params = {name: trial._suggest(name, d) for name, d in SPACE.items()}
        return error(params), cost(params)

    study.optimize(objective, n_trials=16, n_jobs=4)
    assert len({tuple(t.params.items()) for t in study.trials}) == 16


def test_sampler_pickles() -> None:
    """Process-based executors pickle the study with its sampler."""
    sampler = CostAwareSampler(SPACE, seed=3)
    twin = pickle.loads(pickle.dumps(sampler))
    proposals = []
    for each in (sampler, twin):
        study = optuna.create_study(sampler=each)
        proposals.append(study.ask(SPACE).params)
    assert proposals[0] == proposals[1]


def test_reseeding_changes_nothing() -> None:
    """Draws depend on the trial's number, so parallel workers need no other seed."""
    one, two = CostAwareSampler(SPACE, seed=3), CostAwareSampler(SPACE, seed=3)
    two.reseed_rng()
    assert (
        optuna.create_study(sampler=one).ask(SPACE).params
        == optuna.create_study(sampler=two).ask(SPACE).params
    )
