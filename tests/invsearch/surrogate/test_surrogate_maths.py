"""The Gaussian process against finite differences, closed forms and what it must not follow."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import check_grad

from invsearch.surrogate.gp import NOISE_FLOOR, GaussianProcess, Posterior, fit
from invsearch.surrogate.kernel import Features, Hyperparameters, Kernel
from invsearch.surrogate.surrogate import ObjectiveScale, Surrogate, log_offset


def features(n: int, seed: int = 0) -> Features:
    rng = np.random.default_rng(seed)
    choices = rng.integers(0, 3, (n, 4))
    columns = np.concatenate([np.eye(3)[choices[:, j]] for j in range(4)], axis=1) * np.sqrt(0.5)
    return Features(columns, rng.standard_normal((n, 1)), np.repeat(np.arange(4), 3))


@pytest.mark.parametrize("pooled", [0, 3])
@pytest.mark.parametrize(("n", "shared"), [(50, 0), (50, 5), (50, 12), (25, 12)])
def test_gradient_of_the_posterior(n: int, shared: int, pooled: int) -> None:
    """The analytic gradient agrees with finite differences; shared columns stay where they are.

    So do all columns where the points are few. Columns of families have a variance of their own.
    """
    rng = np.random.default_rng(0)
    x = features(n) if n == 25 else replace(features(n), shared=np.arange(12) < shared)
    x = replace(x, pooled=np.arange(12) >= 12 - pooled)
    posterior = Posterior(x, rng.standard_normal(n), 0.1 * rng.random(n))
    own = np.ones(len(posterior.prior))
    own[4 : 4 + shared] = 0.0
    begin, step = posterior.prior, 0.3 * own * rng.standard_normal(len(posterior.prior))

    def value(v: np.ndarray) -> float:
        return posterior(begin + own * (v - begin))[0]

    error = check_grad(value, lambda v: posterior(v)[1], begin + step)
    assert error < 1e-4 * np.linalg.norm(posterior(begin + step)[1])
    fitted = fit(x, rng.standard_normal(n), np.zeros(n))
    assert not fitted.levels[:shared].any()
    assert shared == 12 or fitted.levels[shared:].any()


def test_surprises_are_what_the_points_before_did_not_tell() -> None:
    """Each error and deviation is that of a process given the earlier points alone."""
    x, y = features(20), np.random.default_rng(3).standard_normal(20)
    noise = 0.05 * np.ones(20)
    h = fit(x, y, noise)
    errors, deviations = GaussianProcess(h, x, y, noise).surprises()
    for n in (1, 7, 19):
        mean, sd = GaussianProcess(h, x[:n], y[:n], noise[:n]).predict(x[n : n + 1])
        observed = np.sqrt(sd**2 + np.exp(h.noise) + NOISE_FLOOR + noise[n])
        np.testing.assert_allclose([errors[n], deviations[n]], [y[n] - mean[0], observed[0]])


def test_what_others_foretell_of_a_point() -> None:
    """Each error and deviation is that of a process given all other points."""
    x, y = features(20), np.random.default_rng(3).standard_normal(20)
    noise = 0.05 * np.ones(20)
    h = fit(x, y, noise)
    errors, deviations = GaussianProcess(h, x, y, noise).left_out()
    for n in (0, 7, 19):
        rest = np.arange(20) != n
        mean, sd = GaussianProcess(h, x[rest], y[rest], noise[rest]).predict(x[n : n + 1])
        observed = np.sqrt(sd**2 + np.exp(h.noise) + NOISE_FLOOR + noise[n])
        np.testing.assert_allclose([errors[n], deviations[n]], [y[n] - mean[0], observed[0]])


def test_posterior_interpolates_and_narrows() -> None:
    x = features(30)
    y = x.columns @ np.random.default_rng(1).standard_normal(12)
    h = fit(x, y, np.zeros(30))
    process = GaussianProcess(h, x, y, np.zeros(30))
    mean, sd = process.predict(x)
    np.testing.assert_allclose(mean, y, atol=0.1)
    new = features(20, seed=5)
    assert np.all(process.part(10).predict(new)[1] >= process.predict(new)[1] - 1e-9)
    assert sd.mean() < process.predict(new)[1].mean()


def test_imagined_points_are_as_if_observed_at_their_means() -> None:
    """The extended factor is that of a process given the points with their predictions."""
    x, new, at = features(30), features(4, seed=7), features(20, seed=8)
    y, noise = np.random.default_rng(1).standard_normal(30), 0.1 * np.ones(30)
    process = GaussianProcess(fit(x, y, noise), x, y, noise)
    np.testing.assert_allclose(process.fitted(), process.mean(x), atol=1e-9)
    both = np.concatenate([y, process.mean(new)])
    whole = GaussianProcess(
        process.h, x.joined(new), both, np.concatenate([noise, np.zeros(len(new))])
    )
    for found, expected in zip(process.imagined(new).predict(at), whole.predict(at), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-8)


def test_covariance_in_parts_is_the_covariance() -> None:
    """Products over chunks, and the variance, agree with the matrix written out."""
    x, at = features(40), features(3000, seed=1)
    x, at = (replace(one, pooled=np.arange(12) >= 9) for one in (x, at))
    h = replace(Hyperparameters.prior(x), levels=np.linspace(-1.0, 1.0, 12), pooled=0.7)
    kernel, vector = Kernel(h, x), np.random.default_rng(0).standard_normal(40)
    weights = np.exp(h.weights[x.groups] + h.levels)
    distance = (weights * (at.columns[:, None] - x.columns) ** 2).sum(axis=2)
    expected = np.exp(h.signal - distance) + np.exp(h.linear) * at.linear @ x.linear.T
    expected += np.exp(h.additive) * at.columns[:, :9] @ x.columns[:, :9].T + 1.0
    expected += np.exp(h.pooled) * at.columns[:, 9:] @ x.columns[:, 9:].T
    np.testing.assert_allclose(kernel(at), expected, atol=1e-12)
    np.testing.assert_allclose(kernel.times(at, vector), expected @ vector, atol=1e-10)
    np.testing.assert_allclose(Kernel(h, x).variance(x), np.diag(kernel(x)), atol=1e-12)


def test_known_noise_is_not_followed() -> None:
    """A value known to be unreliable moves its prediction less."""
    x, y = features(40), np.random.default_rng(2).standard_normal(40)
    noisy = np.zeros(40)
    noisy[0] = 100.0
    h = Hyperparameters.prior(x)
    sure = GaussianProcess(h, x, y, np.zeros(40)).mean(x)[0]
    unsure = GaussianProcess(h, x, y, noisy).mean(x)[0]
    assert abs(sure - y[0]) < abs(unsure - y[0])


def test_scales() -> None:
    """Positive values by logarithm, accuracies by distance to the ceiling, others as they are."""
    assert log_offset(np.array([1.0, 2.0]), maximised=False) == pytest.approx(-1.5e-3)
    assert log_offset(np.array([-1.0, 2.0]), maximised=False) is None
    assert log_offset(np.array([-93.0, -71.0]), maximised=True) == -100.0
    assert log_offset(np.array([-0.93, -0.71]), maximised=True) == -1.0
    assert log_offset(np.array([-250.0, -10.0]), maximised=True) is None
    values = np.array([1.0, 10.0, 100.0])
    for offset in (0.0, None):
        scaled = ObjectiveScale.of(values, offset).forward(values)
        assert scaled.mean() == pytest.approx(0.0, abs=1e-12)
        assert scaled.std() == pytest.approx(1.0)


def test_pending_points_narrow_without_moving_the_mean() -> None:
    x = features(30)
    surrogate = Surrogate(x, np.exp(x.linear[:, 0]), np.zeros(30), offset=0.0)
    pending, new = features(3, seed=7), features(20, seed=8)
    with_pending = surrogate.with_pending(pending)
    np.testing.assert_allclose(with_pending.mean(new), surrogate.process.mean(new), atol=1e-6)
    assert np.all(with_pending.predict(pending)[1] < surrogate.process.predict(pending)[1])


@pytest.mark.parametrize("values", [10.0 ** np.arange(-300, 301, 50), np.geomspace(1e-224, 1e-217)])
def test_noise_is_finite_at_any_size_of_the_values(values: np.ndarray) -> None:
    """A slope of 1e200 has no square, and what is known exactly stays so."""
    scale = ObjectiveScale.of(values, log_offset(values, maximised=False))
    assert not scale.variances(values, np.zeros(len(values))).any()
    noisy = scale.variances(values, np.full(len(values), 1e-3))
    assert np.isfinite(noisy).all()
    assert noisy[0] == noisy.max() > 0
