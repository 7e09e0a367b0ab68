"""Objectives that ask for some of their parameters alone, as Optuna's users write them."""

from __future__ import annotations

import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.trial import Trial, TrialState

from invsearch.search.sampler import CostAwareSampler

SPACE: dict[str, BaseDistribution] = {
    "kind": CategoricalDistribution(["deep", "flat"]),
    "depth": IntDistribution(0, 9),
}
POINTS = 11  # ten depths, and what is flat


def error(trial: Trial) -> float:
    if trial.suggest_categorical("kind", ["deep", "flat"]) == "flat":
        return 5.0
    return 3.0 + (trial.suggest_int("depth", 0, 9) - 4) ** 2


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_what_was_not_asked_for_makes_no_new_point(declared: bool, seed: int) -> None:
    """Undeclared, what was flat before the depth was known of is evaluated once more."""
    study = optuna.create_study(
        sampler=CostAwareSampler(SPACE if declared else None, seed=seed, start=4)
    )
    study.optimize(error, n_trials=POINTS if declared else 3 * POINTS)
    assert len({tuple(trial.params.items()) for trial in study.trials}) == POINTS
    assert study.best_value == 3.0


def test_a_pool_too_large_to_list_is_searched_as_well() -> None:
    space = {**SPACE, "depth": IntDistribution(0, 50_000)}

    def wide(trial: Trial) -> float:
        if trial.suggest_categorical("kind", ["deep", "flat"]) == "flat":
            return 5.0
        return 3.0 + abs(trial.suggest_int("depth", 0, 50_000) - 20_000) / 1e4

    study = optuna.create_study(sampler=CostAwareSampler(space, seed=0))
    study.optimize(wide, n_trials=20)
    assert sum(trial.params["kind"] == "flat" for trial in study.trials) == 1


def test_what_is_pruned_before_it_asks_is_not_proposed_again() -> None:
    def pruned(trial: Trial) -> float:
        if trial.suggest_categorical("kind", ["deep", "flat"]) == "flat":
            raise optuna.TrialPruned
        return error(trial)

    study = optuna.create_study(sampler=CostAwareSampler(SPACE, seed=0))
    study.optimize(pruned, n_trials=POINTS)
    assert sum(trial.state == TrialState.PRUNED for trial in study.trials) == 1


def test_one_failure_leaves_the_rest_of_its_kind() -> None:
    """A failure may be nobody's fault."""
    failures = iter([True])

    def flaky(trial: Trial) -> float:
        kind = trial.suggest_categorical("kind", ["deep", "flat"])
        if kind == "deep" and next(failures, False):
            raise OSError("the disk was away")
        return error(trial)

    study = optuna.create_study(sampler=CostAwareSampler(SPACE, seed=0))
    study.optimize(flaky, n_trials=POINTS, catch=(OSError,))
    assert study.best_value == 3.0


def test_a_new_sampler_for_every_trial_goes_on_as_one(tmp_path: object) -> None:
    """What a trial did not ask for is in the storage, where a resumed study finds it."""
    params = []
    for renewed in (False, True):
        study = optuna.create_study(
            storage=f"sqlite:///{tmp_path}/{renewed}.db", sampler=CostAwareSampler(SPACE, seed=1)
        )
        for _ in range(POINTS):
            if renewed:
                study.sampler = CostAwareSampler(SPACE, seed=1)
            study.optimize(error, n_trials=1)
        params.append([trial.params for trial in study.trials])
    assert params[0] == params[1]


@pytest.mark.parametrize("seed", range(4))
def test_parameters_appear_while_trials_run(seed: int) -> None:
    study = optuna.create_study(sampler=CostAwareSampler(seed=seed))
    first, second = study.ask(), study.ask()
    study.tell(first, error(first))
    third = study.ask()  # knows of one parameter
    third.suggest_categorical("kind", ["deep", "flat"])
    study.tell(second, 3.0 + (second.suggest_int("depth", 0, 9) - 4) ** 2)
    fourth = study.ask()  # knows of two, while the third runs
    study.tell(fourth, error(fourth))
    study.tell(third, error(third))
    assert all(trial.state == TrialState.COMPLETE for trial in study.trials)
