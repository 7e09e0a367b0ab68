"""The posterior of values observed with noise: the textbook's, and what it must leave alone."""

from __future__ import annotations

import numpy as np
import pytest

from invsearch.surrogate.gp import NOISE_FLOOR
from invsearch.surrogate.kernel import Features, Kernel
from invsearch.surrogate.surrogate import Surrogate
from invsearch.surrogate.truth import TrueValues


def features(n: int) -> Features:
    columns = np.random.default_rng(0).random((n, 3))
    return Features(columns, np.empty((n, 0)), np.arange(3))


def observed(n: int, noise: float) -> tuple[Features, np.ndarray, np.ndarray]:
    """Points, their true values, and these with noise."""
    x, rng = features(n), np.random.default_rng(1)
    true = 2.0 + np.sin(3 * x.columns[:, 0]) + x.columns[:, 1] + 0.05 * rng.standard_normal(n)
    return x, true, true + noise * rng.standard_normal(n)


def test_it_is_the_normal_conditional_written_out() -> None:
    """E[t|y] = K (K + V)^-1 y and Cov[t|y] = K - K (K + V)^-1 K, K with the points' own part."""
    x, _, y = observed(30, 0.3)
    variances = np.full(30, 0.09)
    found = TrueValues(x, y, variances, modelled=np.arange(30))
    surrogate = Surrogate(x, y, variances)
    h, scale = surrogate.hyperparameters, surrogate.scale
    k = Kernel(h, x)(x) + (np.exp(h.noise) + NOISE_FLOOR) * np.eye(30)
    v = np.diag(scale.variances(y, variances))
    mean = k @ np.linalg.solve(k + v, scale.forward(y))
    covariance = k - k @ np.linalg.solve(k + v, k)
    np.testing.assert_allclose(found.centre, scale.backward(mean), atol=1e-6)
    half = 1.959964 * np.sqrt(np.diag(covariance))
    np.testing.assert_allclose(found.high, scale.backward(mean + half), atol=1e-4)
    drawn = scale.forward(found.draw(20_000, np.random.default_rng(0)))
    np.testing.assert_allclose(np.cov(drawn.T), covariance, atol=0.02)


def test_what_is_exact_stays_to_the_last_digit() -> None:
    """Whatever its neighbours say; the others are still shrunk."""
    x, _, y = observed(20, 0.3)
    variances = np.where(np.arange(20) < 7, 0.0, 0.09)
    found = TrueValues(x, y, variances, modelled=np.arange(20), offset=0.0)
    for values in (found.centre, found.low, found.high, *found.draw(3, np.random.default_rng(0))):
        assert np.array_equal(values[:7], y[:7])
    assert np.all(found.low[7:] < found.high[7:])
    assert not np.any(found.centre[7:] == y[7:])


@pytest.mark.parametrize("modelled", [60, 40])
def test_it_is_nearer_to_the_truth_than_what_was_observed(modelled: int) -> None:
    """In the rows of the joint posterior, and in those that are weighed one by one."""
    x, true, y = observed(60, 0.3)
    found = TrueValues(x, y, np.full(60, 0.09), modelled=np.arange(modelled), offset=0.0)
    for rows in (slice(0, 40), slice(40, 60)):
        error, before = found.centre[rows] - true[rows], y[rows] - true[rows]
        assert np.sqrt(np.mean(error**2)) < 0.7 * np.sqrt(np.mean(before**2))
    assert np.mean((found.low <= true) & (true <= found.high)) >= 0.85
