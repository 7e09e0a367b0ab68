"""Hints are taken while the search's own trials bear them out, and only then."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution

from invsearch.search.sampler import CostAwareSampler
from invsearch.search.trusting import TrustingSampler, trusted

SPACE = {name: CategoricalDistribution([0, 1, 2]) for name in "abcd"}
POINTS = [dict(zip(SPACE, p, strict=True)) for p in itertools.product(range(3), repeat=4)]


def loss(params: Mapping[str, Any]) -> float:
    return float(1 + params["a"] + 0.5 * params["b"] * params["c"])


def cost(params: Mapping[str, Any]) -> dict[int, float]:
    return {1: float(1 + params["d"])}


def sampler(hint: Callable[[Mapping[str, Any]], float]) -> TrustingSampler:
    def make(hints: Callable[[Mapping[str, Any]], Sequence[float]]) -> CostAwareSampler:
        return CostAwareSampler(SPACE, costs=cost, candidates=POINTS, hints=hints, seed=0)

    return TrustingSampler(make, lambda p: [hint(p)], 1, cost, [0])


def search(hint: Callable[[Mapping[str, Any]], float], trials: int) -> optuna.Study:
    study = optuna.create_study(directions=["minimize"] * 2, sampler=sampler(hint))
    for _ in range(trials):
        trial = study.ask(SPACE)
        study.tell(trial, [loss(trial.params), cost(trial.params)[1]])
    return study


def test_a_hint_that_ranks_is_trusted_and_noise_one_time_in_twenty() -> None:
    rng = np.random.default_rng(0)
    costs = rng.uniform(1, 2, (200, 12, 1))
    values = np.log(costs[..., 0]) + 0.3 * rng.normal(size=(200, 12))
    noise, wise = (
        rng.normal(size=(200, 12, 1)),
        values[..., None] + 0.1 * rng.normal(size=(200, 12, 1)),
    )
    shares = [
        np.mean([trusted(h[i], values[i], costs[i])[0] for i in range(200)])
        for h in (noise, wise, -wise, costs)
    ]
    assert 0.01 < shares[0] < 0.12
    assert shares[1] > 0.9
    assert shares[2] == pytest.approx(shares[1])  # a hint may be reversed
    assert shares[3] == 0  # what is the cost says nothing beyond it


def test_few_trials_trust_nothing_and_no_hint_is_no_error() -> None:
    hints, costs = np.arange(3.0)[:, None], np.array([[3.0], [1.0], [2.0]])
    assert not trusted(hints, np.arange(3.0), costs).any()
    assert trusted(np.ones((9, 2)), np.arange(9.0), np.empty((9, 0))).tolist() == [False, False]


def test_a_resumed_search_goes_on_as_it_would_have() -> None:
    """What is trusted follows from the study alone."""
    whole = search(loss, 14)
    head = search(loss, 9)
    again = optuna.create_study(directions=["minimize"] * 2, sampler=sampler(loss))
    again.add_trials(head.trials)
    for _ in range(5):
        trial = again.ask(SPACE)
        again.tell(trial, [loss(trial.params), cost(trial.params)[1]])
    assert [t.params for t in again.trials] == [t.params for t in whole.trials]


def test_a_hint_that_is_right_leads_to_the_best() -> None:
    found = search(loss, 14)
    assert min(t.values[0] for t in found.trials) == 1
    assert sampler(loss)._trust(found) == (True,)
    assert sampler(lambda p: 0.0)._trust(found) == (False,)
