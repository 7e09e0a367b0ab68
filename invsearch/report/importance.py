"""Which choices matter: permutation importance of the parameters, with its uncertainty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from invsearch.metrics import Direction
from invsearch.runs import Trial
from invsearch.runs.front import comparable

__all__ = ["ENOUGH", "Importance", "importances"]

Array = NDArray[np.float64]

ENOUGH = 8
"""Comparable trials below which nothing is said: bootstrapping eight leaves out three."""

_REPLICATES = 24  # measured at 200 trials: ends vary by 0.1 over seeds, with 12 to 48 alike
_TREES = 32  # measured at 200 trials: values vary by 0.02 over seeds, and by no less with 128
_MOST = 400  # trials that one replicate draws: 2,000 trials then take a second
_LEAST_LEFT_OUT = 3  # a permutation of two is often none


@dataclass(frozen=True)
class Importance:
    """How much one parameter matters to one objective.

    Attributes:
        parameter: The parameter.
        objective: The objective.
        value: Share of the objective's variance that is mispredicted in addition once the
            parameter's values are shuffled; the mean over bootstrap replicates.
        low: Lower end of its 95 % interval over the replicates.
        high: Upper end.
    """

    parameter: str
    objective: str
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class _Feature:
    """A parameter as columns of numbers, and the trials that have it."""

    name: str
    columns: Array
    active: NDArray[np.bool_]


def importances(
    trials: Sequence[Trial], objectives: Mapping[str, Direction], *, seed: int = 0
) -> list[Importance]:
    """Measure how much each parameter matters to each objective.

    In every replicate a random forest learns the objectives from a bootstrap sample of the trials;
    on those left out, one parameter after the other is shuffled (Breiman, "Random forests", 2001).
    A conditional parameter is shuffled among the trials that have it alone: the forest is never
    asked about a combination of parent and child that the space does not hold.

    Args:
        trials: Any trials; only comparable ones count.
        objectives: Direction by metric.
        seed: Seed of the replicates.

    Returns:
        One entry per parameter that varies and objective that varies; none below :data:`ENOUGH`
        comparable trials.
    """
    chosen = comparable(trials, objectives)
    features = [feature for feature in _features(chosen) if feature is not None]
    targets, names = _targets(chosen, objectives)
    if len(chosen) < ENOUGH or not features or not names:
        return []
    rng = np.random.default_rng(seed)
    drops = np.array([_replicate(features, targets, rng) for _ in range(_REPLICATES)])
    low, high = np.quantile(drops, [0.025, 0.975], axis=0)
    mean = drops.mean(axis=0)
    return [
        Importance(feature.name, name, float(mean[f, t]), float(low[f, t]), float(high[f, t]))
        for t, name in enumerate(names)
        for f, feature in enumerate(features)
    ]


def _targets(
    trials: Sequence[Trial], objectives: Mapping[str, Direction]
) -> tuple[Array, list[str]]:
    """Return the objectives that vary, standardised, a column each."""
    rows = [[trial.metrics[name].value for name in objectives] for trial in trials]
    values = np.asarray(rows, dtype=np.float64).reshape(-1, len(objectives))
    if len(values) == 0:
        return values, []
    spread = values.std(axis=0)
    varies = spread > 0
    names = [name for name, keep in zip(objectives, varies, strict=True) if keep]
    return (values[:, varies] - values[:, varies].mean(axis=0)) / spread[varies], names


def _features(trials: Sequence[Trial]) -> list[_Feature | None]:
    names = dict.fromkeys(name for trial in trials for name in trial.architecture)
    return [_feature(name, [trial.architecture.get(name) for trial in trials]) for name in names]


def _feature(name: str, values: Sequence[Any]) -> _Feature | None:
    """Encode a parameter: numbers by their value, else a column a level; None where constant."""
    active = np.array([value is not None for value in values])
    levels = list(dict.fromkeys(value for value in values if value is not None))
    if len(levels) < 2:
        return None
    if all(isinstance(level, int | float) for level in levels):
        outside = min(levels) - 1
        numbers = [outside if value is None else value for value in values]
        return _Feature(name, np.array([numbers], dtype=np.float64).T, active)
    columns = [[value == level for level in levels] for value in values]
    return _Feature(name, np.array(columns, dtype=np.float64), active)


def _replicate(features: Sequence[_Feature], targets: Array, rng: np.random.Generator) -> Array:
    """Return, per feature and target, the squared error that shuffling adds on trials left out."""
    from sklearn.ensemble import RandomForestRegressor

    count = len(targets)
    drawn = rng.choice(count, min(count, _MOST))
    left_out = np.setdiff1d(np.arange(count), drawn)
    if len(left_out) < _LEAST_LEFT_OUT:
        drawn = rng.permutation(count)
        drawn, left_out = drawn[_LEAST_LEFT_OUT:], drawn[:_LEAST_LEFT_OUT]
    left_out = left_out[:_MOST]
    inputs = np.hstack([feature.columns for feature in features])
    forest = RandomForestRegressor(_TREES, random_state=int(rng.integers(2**31)), n_jobs=1)
    forest.fit(inputs[drawn], targets[drawn] if targets.shape[1] > 1 else targets[drawn, 0])
    tables = [inputs[left_out], *_shuffled(features, inputs, left_out, rng)]
    predicted = forest.predict(np.vstack(tables)).reshape(len(tables), len(left_out), -1)
    errors = ((predicted - targets[left_out]) ** 2).mean(axis=1)
    return np.asarray(errors[1:] - errors[0])


def _shuffled(
    features: Sequence[_Feature], inputs: Array, rows: NDArray[np.intp], rng: np.random.Generator
) -> list[Array]:
    """Return the rows once per feature, it being shuffled among the trials that have it."""
    tables, column = [], 0
    for feature in features:
        width = feature.columns.shape[1]
        table = inputs[rows].copy()
        active = np.flatnonzero(feature.active[rows])
        place = slice(column, column + width)
        table[active, place] = table[rng.permutation(active), place]
        tables.append(table)
        column += width
    return tables
