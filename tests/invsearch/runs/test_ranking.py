"""Rankings compared: oracles of scipy, and what is left at equal cost."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kendalltau

from invsearch.runs.ranking import rank_agreement


def test_tau_is_scipys_and_its_interval_holds_it() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=30)
    told = truth + rng.normal(size=30)
    found = rank_agreement(told, -truth, np.exp(rng.normal(size=30)), resamples=200)
    assert found.tau == pytest.approx(kendalltau(told, truth).statistic)
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.tau < found.high
    assert found.n == 30


def test_a_source_that_is_the_cost_knows_nothing_at_equal_cost() -> None:
    rng = np.random.default_rng(1)
    logs = rng.normal(size=30)
    losses = -logs + 0.1 * rng.normal(size=30)
    cost = rank_agreement(3 * logs + 1, losses, np.exp(logs), resamples=50)
    assert cost.tau is not None
    assert cost.tau > 0.8
    assert cost.equal_cost is None
    beyond = rank_agreement(-losses, losses, np.exp(logs), resamples=50)
    assert beyond.equal_cost == 1


def test_what_does_not_vary_has_no_tau() -> None:
    found = rank_agreement([1.0, 1.0, 1.0], [1.0, 2.0, 3.0], [1.0, 2.0, 3.0], resamples=10)
    assert found.tau is None
    assert found.equal_cost is None
    assert rank_agreement([1.0, 2.0], [2.0, 1.0], [1.0, 2.0], resamples=10).tau is None
