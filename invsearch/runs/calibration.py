"""Calibration: whether the search's own model was as right about its trials as it said.

Each trial is predicted from those before it, with the hyperparameters that all of them lead to. Of
a model that knows how little it knows, half the values lie in its 50 % intervals and nineteen in
twenty in those of 95 %.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from invsearch.metrics import Direction
from invsearch.runs.features import features_of
from invsearch.runs.front import comparable, fully_paid, oriented
from invsearch.runs.trial import Trial

__all__ = ["Calibration", "calibrations"]

_FIRST = 10  # trials that nothing before them could tell
_LEAST = 10  # predictions below which a share says nothing
_MOST = 400  # trials that are fitted: a second; the latest of more
_KNOWN = ("counted", "published", "table", "predicted")  # not what the search models
_NORMAL_50, _NORMAL_95 = 0.674490, 1.959964  # deviations to the end of a central interval


@dataclass(frozen=True)
class Calibration:
    """How often one objective's intervals held.

    Attributes:
        metric: The objective.
        half: Share of the values within their 50 % intervals.
        most: Share within those of 95 %.
        n: Predictions.
    """

    metric: str
    half: float
    most: float
    n: int

    def __str__(self) -> str:
        return (
            f"{self.metric}: of {self.n} trials predicted from those before them, {self.half:.0%}"
            f" lay within the 50 % interval and {self.most:.0%} within that of 95 %"
        )


def calibrations(trials: Sequence[Trial], objectives: Mapping[str, Direction]) -> list[Calibration]:
    """The calibration of every objective that is not known beforehand; none of too few trials."""
    names = list(objectives)
    paid = [trial for trial in comparable(trials, objectives) if fully_paid(trial, names)]
    known = sorted(paid, key=lambda trial: trial.number)[-_MOST:]
    if len(known) < _FIRST + _LEAST:
        return []
    counted = [name for name in names if all(t.metrics[name].source in _KNOWN for t in known)]
    values = oriented(known, objectives)
    return [
        _calibration(name, known, values[:, column], objectives[name], counted)
        for column, name in enumerate(objectives)
        if name not in counted and np.isfinite(values).all() and np.ptp(values[:, column]) > 0
    ]


def _calibration(
    name: str,
    trials: Sequence[Trial],
    values: np.ndarray,
    direction: Direction,
    counted: Sequence[str],
) -> Calibration:
    from invsearch.surrogate.surrogate import Surrogate, log_offset
    from invsearch.surrogate.threads import one_thread

    noise = np.array([trial.metrics[name].sigma for trial in trials]) ** 2
    offset = log_offset(values, maximised=direction == "maximize")
    with one_thread():
        surrogate = Surrogate(features_of(trials, counted), values, noise, offset=offset)
        errors, deviations = surrogate.process.surprises()
    away = np.abs(errors / deviations)[_FIRST:]
    half, most = (float((away <= end).mean()) for end in (_NORMAL_50, _NORMAL_95))
    return Calibration(name, half, most, len(away))
