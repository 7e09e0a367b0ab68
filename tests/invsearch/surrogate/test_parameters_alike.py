"""Parameters with the same values tell of each other, where the data say that they do."""

from __future__ import annotations

import numpy as np
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from invsearch.surrogate.encoding import Encoder
from invsearch.surrogate.surrogate import Surrogate

OPERATORS = CategoricalDistribution(["conv", "inv", "skip"])


def test_which_parameters_are_a_family() -> None:
    space = {
        "link": CategoricalDistribution(["a", "b", "c"]),
        "op1": OPERATORS,
        "blocks1": IntDistribution(1, 3),
        "op2": OPERATORS,
        "lr": FloatDistribution(0.0, 1.0),
        "blocks2": IntDistribution(1, 3),
        "one": CategoricalDistribution(["x"]),
        "other": CategoricalDistribution(["x"]),
        "long1": CategoricalDistribution([f"c{i}" for i in range(30)]),
        "long2": CategoricalDistribution([f"c{i}" for i in range(30)]),
    }
    assert Encoder(space).families == ((1, 3), (2, 5))


def test_what_is_counted() -> None:
    """Two of three positions have the second choice, whichever; absent ones count nowhere."""
    encoder = Encoder({f"op{j}": OPERATORS for j in range(3)} | {"a": IntDistribution(0, 4)})
    rows = np.array([[1.0, 1.0, 2.0, 0.0], [2.0, 1.0, 1.0, 0.0], [1.0, np.nan, 2.0, 0.0]])
    x = encoder.with_costs(rows, np.zeros((3, 1)))
    counts = x.columns[:, x.of_families] / np.sqrt(0.5 / 3)
    np.testing.assert_allclose(counts, [[0, 2, 1], [0, 2, 1], [0, 1, 1]])
    ranges = Encoder({"a": IntDistribution(0, 4), "b": IntDistribution(0, 4)})
    x = ranges.with_costs(np.array([[0.0, 4.0], [2.0, np.nan]]), np.zeros((2, 0)))
    np.testing.assert_allclose(x.columns[:, x.of_families][:, 0] / 0.5, [1.0, 0.5])


def scores(worth: np.ndarray, *, alike: bool) -> float:
    """Mean density logarithm of predictions from 12 of 6561 points."""
    names = [OPERATORS] * 8 if alike else [_own(j) for j in range(8)]
    encoder = Encoder({f"op{j}": names[j] for j in range(8)})
    rng = np.random.default_rng(0)
    rows = rng.integers(3, size=(325, 8)).astype(float)
    values = np.exp(worth[np.arange(8), rows.astype(int)].sum(axis=1))
    x = encoder.with_costs(rows, np.empty((len(rows), 0)))
    surrogate = Surrogate(x[:12], values[:12], np.zeros(12), offset=0.0)
    mean, sd = surrogate.process.predict(x[12:])
    off = (surrogate.scale.forward(values[12:]) - mean) / sd
    return float(-(0.5 * off**2 + np.log(sd)).mean())


def _own(j: int) -> CategoricalDistribution:
    return CategoricalDistribution([f"{choice}{j}" for choice in OPERATORS.choices])


def test_likeness_is_used_and_costs_little_where_there_is_none() -> None:
    """Operators worth the same at each of eight positions, and worth what chance gives."""
    rng = np.random.default_rng(3)
    common = np.tile(0.3 * rng.standard_normal(3), (8, 1)) + 0.02 * rng.standard_normal((8, 3))
    assert scores(common, alike=True) > scores(common, alike=False) + 0.5
    chance = 0.3 * rng.standard_normal((8, 3))
    assert scores(chance, alike=True) > scores(chance, alike=False) - 0.15
