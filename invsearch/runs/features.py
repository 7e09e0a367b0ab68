"""The trials of a run as the models of the search see them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from invsearch.metrics import Metric
from invsearch.runs.trial import Trial

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

    from invsearch.surrogate.kernel import Features

__all__ = ["features_of"]

_CHOICES = 12  # different numbers of a parameter: of more, each is a place on a range
_COSTS = ("params", "macs")  # what is counted in most runs, objective or not, and explains the most


def features_of(trials: Sequence[Trial], exact: Sequence[str]) -> Features:
    """Trials as the model sees them: their parameters, and what is known of them exactly."""
    from invsearch.surrogate.encoding import Encoder
    from invsearch.surrogate.warp import Warp

    encoder = Encoder(_distributions(trials))
    columns = [
        np.array([trial.metrics[name].value for trial in trials])
        for name in dict.fromkeys([*exact, *_COSTS])
        if all(_is_exact(trial.metrics.get(name)) for trial in trials)
    ]
    costs = [Warp(column)(column) for column in columns if np.ptp(column) > 0]
    rows = encoder.rows([dict(trial.architecture) for trial in trials])
    return encoder.with_costs(rows, np.array(costs).reshape(len(costs), len(trials)).T)


def _is_exact(metric: Metric | None) -> bool:
    return metric is not None and metric.sigma == 0 and metric.fidelity is None


def _distributions(trials: Sequence[Trial]) -> dict[str, BaseDistribution]:
    """Each parameter's, from the values that the trials have; a constant one tells nothing."""
    names = dict.fromkeys(name for trial in trials for name in trial.architecture)
    found = {}
    for name in names:
        values = [trial.architecture.get(name) for trial in trials]
        if len(set(map(repr, values))) > 1:
            found[name] = _distribution([value for value in values if value is not None])
    return found


def _distribution(values: Sequence[Any]) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    different = list({repr(value): value for value in values}.values())
    if all(isinstance(v, int | float) and not isinstance(v, bool) for v in different):
        different.sort()
        if len(different) > _CHOICES:
            low, high = float(different[0]), float(different[-1])
            return FloatDistribution(low, high, log=low > 0 and high >= 10 * low)
    return CategoricalDistribution(different)
