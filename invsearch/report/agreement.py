"""Predicted against measured latency, over the trials of a run with a latency table."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from invsearch.metrics import Metric, base_metric
from invsearch.runs import RunData, RunFolder, Trial

__all__ = [
    "LATENCY",
    "Agreement",
    "LatencyPair",
    "agreement",
    "latencies",
    "latency_table",
    "predictions",
]

Array = NDArray[np.float64]

LATENCY = "latency_ms"
_ENOUGH = 3  # trials: two are in the right order by chance half of the time


@dataclass(frozen=True)
class LatencyPair:
    """One network's latency, predicted and measured.

    Attributes:
        trial: Its trial's number.
        predicted: Before the trial, with its 95 % interval.
        measured: In the trial.
        fitted: Whether the prediction was fitted to this network too, which flatters it.
    """

    trial: int
    predicted: Metric
    measured: Metric
    fitted: bool = False


@dataclass(frozen=True)
class Agreement:
    """How well predictions agree with measurements.

    Attributes:
        count: Networks compared.
        error: Mean of |predicted - measured| / measured.
        rank_correlation: Spearman's; None below three networks, or where nothing varies.
        covered: Measurements inside the prediction's 95 % interval.
    """

    count: int
    error: float
    rank_correlation: float | None
    covered: int


def predictions(
    trials: Sequence[Trial], table: Mapping[str, Any] | None = None, name: str = LATENCY
) -> list[LatencyPair]:
    """Return every measured trial whose latency was predicted before.

    Args:
        trials: Of the run.
        table: Its ``latency_table.json``, which says what the predictions were fitted to.
        name: The latency, of a target or not.
    """
    fitted = {_key(one["architecture"]) for one in (table or {}).get("networks", ())}
    found = []
    for trial in trials:
        measured = trial.metrics.get(name)
        if measured is None or measured.source != "measured":
            continue
        told = measured.detail.get("predicted")
        if told is not None:
            predicted = Metric(name, told["value"], "predicted", told["low"], told["high"])
            known = _key(trial.architecture.to_json()) in fitted
            found.append(LatencyPair(trial.number, predicted, measured, known))
    return found


def agreement(points: Sequence[LatencyPair]) -> Agreement | None:
    """Compare predictions with measurements; None where there are none."""
    if not points:
        return None
    predicted = np.array([point.predicted.value for point in points])
    measured = np.array([point.measured.value for point in points])
    return Agreement(
        count=len(points),
        error=float(np.mean(np.abs(predicted / measured - 1.0))),
        rank_correlation=_spearman(predicted, measured),
        covered=sum(_inside(point) for point in points),
    )


def _key(architecture: Mapping[str, Any]) -> str:
    return json.dumps(dict(architecture), sort_keys=True)


def _inside(point: LatencyPair) -> bool:
    low, high = point.predicted.low, point.predicted.high
    return low is not None and high is not None and low <= point.measured.value <= high


def _spearman(a: Array, b: Array) -> float | None:
    """Pearson's correlation of the ranks, equal values sharing the mean of theirs."""
    ranks = [_ranks(values) for values in (a, b)]
    if len(a) < _ENOUGH or any(np.ptp(one) == 0 for one in ranks):
        return None
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def _ranks(values: Array) -> Array:
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return np.asarray((ends - (counts - 1) / 2)[places])


def latencies(trials: Sequence[Trial]) -> list[str]:
    """Return the names of every latency that trials have, of targets too, in order."""
    found = {name for trial in trials for name in trial.metrics if base_metric(name)[0] == LATENCY}
    return sorted(found)


def latency_table(run: RunData, name: str = LATENCY) -> Mapping[str, Any]:
    """Return the run's table of that latency; empty where there is none that can be read."""
    path = RunFolder(run.path).latency_table_path
    file = path.with_name(f"{path.stem}{name.removeprefix(LATENCY)}{path.suffix}")
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    whole = isinstance(data, dict) and {"networks", "calibration", "entries"} <= data.keys()
    return data if whole else {}
