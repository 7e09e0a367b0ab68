"""A sampler whose model is wrong somewhere, and sure of it, looks there all the same."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import optuna
from optuna.distributions import CategoricalDistribution
from optuna.trial import TrialState

from invsearch.search.sampler import CostAwareSampler
from invsearch.search.sampler.doubt import Doubt, doubt
from invsearch.search.sampler.history import History, Record

optuna.logging.set_verbosity(optuna.logging.ERROR)


def history(values: list[tuple[float, float]]) -> History:
    records = [
        Record(n, TrialState.COMPLETE, np.array([float(n)]), np.array(v), np.zeros(2))
        for n, v in enumerate(values)
    ]
    return History(records, [], [], np.empty((0, 1)), records, set(), {})


def test_the_model_is_followed_while_the_front_moves() -> None:
    """Every third trial doubts, and none while one of the last four moved the front."""
    moving = history([(9.0 - n, 1.0 + n) for n in range(9)])
    assert [doubt(moving, number) for number in range(9, 15)] == [None] * 6
    stalled = history([(1.0, 1.0), *[(2.0 + n, 2.0) for n in range(4)]])
    doubts = [doubt(stalled, number) for number in range(6, 12)]
    assert doubts == [Doubt(mean=True), None, None, Doubt(mean=False), None, None]
    assert doubt(history([(1.0, 1.0), *[(2.0, 2.0)] * 3]), 6) is None


def test_what_breaks_a_bound_moves_no_front() -> None:
    """An infeasible trial that nothing dominates is no progress."""
    stalled = history([(1.0, 1.0), *[(2.0 + n, 2.0) for n in range(4)]])
    broken = replace(stalled.evaluated[4], values=np.zeros(2), violations={"top1": 1.0})
    assert doubt(replace(stalled, evaluated=[*stalled.evaluated[:4], broken]), 6) == Doubt(
        mean=True
    )


def test_doubts_go_next_to_the_front() -> None:
    """The first point stays the front: every third proposal differs from it in one choice."""
    space = {f"p{j}": CategoricalDistribution(list("abcdefgh")) for j in range(5)}
    study = optuna.create_study(
        directions=["minimize"] * 2, sampler=CostAwareSampler(space, seed=2)
    )
    for number in range(22):  # of the 35 neighbours some are left
        trial = study.ask(space)
        study.tell(trial, [1.0 + (number > 0), 1.0 + (number > 0)])
    first = study.trials[0].params
    for trial in study.trials[9::3]:
        assert sum(trial.params[name] != first[name] for name in space) == 1


def test_doubts_keep_the_laws_of_proposals() -> None:
    """Nothing twice, nothing outside the candidates, the same again from the same seed."""
    space = {f"p{j}": CategoricalDistribution(["a", "b", "c"]) for j in range(4)}
    valid = [
        dict(zip(space, point, strict=True))
        for point in itertools.product("abc", repeat=4)
        if point[0] != point[3]
    ]

    def flat() -> list[tuple[str, ...]]:
        study = optuna.create_study(
            directions=["minimize"] * 2,
            sampler=CostAwareSampler(space, candidates=valid, seed=1),
        )
        for number in range(len(valid)):
            trial = study.ask(space)
            study.tell(trial, [1.0 + (number > 0), 1.0 + (number > 0)])  # it never moves again
        return [tuple(trial.params.values()) for trial in study.trials]

    found = flat()
    assert sorted(found) == sorted(tuple(point.values()) for point in valid)
    assert found == flat()
