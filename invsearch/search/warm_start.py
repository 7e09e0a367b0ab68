"""Warm start: what earlier runs suggest about an architecture, as hints to the sampler."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from invsearch.errors import InputError
from invsearch.runs import RunData, load_run
from invsearch.space.architecture import Value

__all__ = ["Additive", "hints_from"]

_ENOUGH = 8  # trials: what a search without costs starts its own model with


class Additive:
    """An objective as a sum over choices, on its logarithm where it is positive.

    Ridge regression on one indicator a choice. It is no match for the search's own model, and need
    not be: that one takes the prediction as a feature and learns how far to trust it, so the
    earlier run may be of another space, data set or fidelity.

    Args:
        points: The parameters of evaluated architectures; what a point lacks is inactive there.
        values: Their values, finite.
        penalty: Strength of the ridge, in trials.
    """

    def __init__(
        self, points: Sequence[Mapping[str, Value]], values: Sequence[float], penalty: float = 1.0
    ) -> None:
        choices = sorted({item for point in points for item in point.items()}, key=repr)
        place = {choice: index for index, choice in enumerate(choices)}
        design = np.zeros((len(points), len(choices)))
        for row, point in zip(design, points, strict=True):
            row[[place[item] for item in point.items()]] = 1
        target = np.asarray(values, dtype=float)
        target = np.log(target) if np.all(target > 0) else target
        self._mean = float(target.mean())
        centre = design.mean(axis=0)
        design -= centre
        gram = design.T @ design + penalty * np.eye(len(choices))
        weights = np.linalg.solve(gram, design.T @ (target - self._mean))
        self._weights = dict(zip(choices, weights.tolist(), strict=True))
        self._mean -= float(centre @ weights)

    def __call__(self, point: Mapping[str, Any]) -> float:
        """The prediction for a point; choices never seen add nothing."""
        return self._mean + float(sum(self._weights.get(item, 0.0) for item in point.items()))


def hints_from(
    runs: Sequence[str], objectives: Sequence[str]
) -> Callable[[Mapping[str, Any]], list[float]]:
    """Predictions of the objectives by earlier runs, for ``CostAwareSampler(hints=...)``.

    Args:
        runs: Folders, or names under ``results/``.
        objectives: The objectives that evaluation alone can tell.

    Raises:
        InputError: If a run is missing, or has too few complete trials with any of the objectives.
    """
    models = [model for run in runs for model in _models(run, objectives)]
    return lambda point: [model(point) for model in models]


def _models(run: str, objectives: Sequence[str]) -> list[Additive]:
    data: RunData = load_run(run)
    models = []
    for name in objectives:
        known = [t for t in data.trials if t.state == "complete" and name in t.metrics]
        if len(known) >= _ENOUGH:
            values = [trial.metrics[name].value for trial in known]
            models.append(Additive([trial.architecture for trial in known], values))
    if not models:
        raise InputError(
            f"search.warm_start: {run} has fewer than {_ENOUGH} complete trials with "
            f"{' or '.join(objectives)}; leave it out"
        )
    return models
