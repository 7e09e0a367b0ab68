"""What is far worse than the rest darkens nothing around it, and nothing good is doubted."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution

from invsearch.surrogate.encoding import Encoder
from invsearch.surrogate.outliers import doubtful, fence
from invsearch.surrogate.surrogate import Surrogate

SPACE = {f"p{j}": CategoricalDistribution(list("abcd")) for j in range(4)}
POINTS = np.array(list(itertools.product(range(4), repeat=4)), dtype=float)
ERRORS = np.exp(2.5 + 0.1 * POINTS.sum(axis=1))


def test_the_outer_fence() -> None:
    """Quartiles 2 and 6 of 0 to 8: three times their distance beyond the upper one."""
    assert fence(np.arange(9.0)) == 6.0 + 3.0 * 4.0
    assert fence(np.arange(7.0)) == np.inf  # too few to tell
    assert fence(np.repeat([1.0, 9.0], [20, 3])) == np.inf  # most are one value


def test_only_what_is_worse_is_doubted() -> None:
    errors = np.array([0.0] * 10 + [2.9, 3.1, -9.0])
    assert np.flatnonzero(doubtful(errors, np.ones(13))).tolist() == [11]
    assert not doubtful(errors[-5:], np.ones(5)).any()


def model(values: np.ndarray, rows: np.ndarray, *, robust: bool) -> Surrogate:
    encoder = Encoder(SPACE)
    x = encoder.with_costs(POINTS[rows], np.empty((len(rows), 0)))
    return Surrogate(x, values[rows], np.zeros(len(rows)), offset=0.0, robust=robust)


@pytest.mark.parametrize("bad", [95.0, 1e4])
def test_a_disaster_does_not_darken_its_neighbours(bad: float) -> None:
    """A point that is no network: what is one change away is foretold as without it."""
    rng = np.random.default_rng(0)
    values, rows = ERRORS.copy(), rng.permutation(256)[:40]
    values[rows[0]] = bad
    changes = (POINTS[rows[0]] != POINTS).sum(axis=1)
    near = np.setdiff1d(np.flatnonzero(changes == 1), rows)
    at = Encoder(SPACE).with_costs(POINTS[near], np.empty((len(near), 0)))
    off = {}
    for robust in (False, True):
        surrogate = model(values, rows, robust=robust)
        mean = surrogate.scale.backward(surrogate.process.mean(at))
        off[robust] = float(np.abs(np.log(mean / values[near])).max())
    assert off[True] < 0.05
    assert off[True] < 0.5 * off[False]


def test_the_disaster_itself_stays_one() -> None:
    """It is no incumbent: its estimate is what was seen, up to the fence."""
    values, rows = ERRORS.copy(), np.random.default_rng(0).permutation(256)[:40]
    values[rows[0]] = 95.0
    surrogate = model(values, rows, robust=True)
    assert surrogate.estimates().argmax() == 0
    assert surrogate.scale.backward(surrogate.estimates())[0] > values[rows[1:]].max()


def test_without_outliers_nothing_changes() -> None:
    rows = np.random.default_rng(1).permutation(256)[:40]
    plain, robust = (model(ERRORS, rows, robust=one) for one in (False, True))
    np.testing.assert_array_equal(plain.process.fitted(), robust.process.fitted())
