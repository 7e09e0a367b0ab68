"""Predicted against measured latency, over the trials of a run with a latency table."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from invsearch.metrics import Metric
from invsearch.report.figure import Figure, Trace, heading
from invsearch.report.text import counted_noun, display, interval
from invsearch.runs import RunData, RunFolder, Trial
from invsearch.value import rounded, significant

__all__ = [
    "Agreement",
    "Prediction",
    "agreement",
    "latency_figure",
    "latency_remark",
    "predictions",
]

Array = NDArray[np.float64]

_NAME = "latency_ms"
_SPAN = 8
_ENOUGH = 3  # trials from which on their order says anything


@dataclass(frozen=True)
class Prediction:
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
    trials: Sequence[Trial], table: Mapping[str, Any] | None = None
) -> list[Prediction]:
    """Return every measured trial whose latency was predicted before.

    Args:
        trials: Of the run.
        table: Its ``latency_table.json``, which says what the predictions were fitted to.
    """
    fitted = {_key(one["architecture"]) for one in (table or {}).get("networks", ())}
    found = []
    for trial in trials:
        measured = trial.metrics.get(_NAME)
        if measured is None or measured.source != "measured":
            continue
        told = measured.detail.get("predicted")
        if told is not None:
            predicted = Metric(_NAME, told["value"], "predicted", told["low"], told["high"])
            known = _key(trial.architecture.to_json()) in fitted
            found.append(Prediction(trial.number, predicted, measured, known))
    return found


def agreement(points: Sequence[Prediction]) -> Agreement | None:
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


def latency_figure(run: RunData, index: int) -> Figure | None:
    """Return predicted against measured latency, None where nothing was predicted.

    Args:
        run: The run.
        index: Its place on the page.
    """
    table = _table(run)
    points = predictions(run.trials, table)
    if not points:
        return None
    figure = Figure(title="Latency: predicted against measured", height=460, selectable=True)
    diagonal = _diagonal(points)
    figure.add_together("measured as predicted", "line", "muted", [diagonal], dash="dash")
    groups = (("trial", False, "front"), ("trial that the fit used", True, "other"))
    for text, fitted, colour in groups:
        group = [point for point in points if point.fitted == fitted]
        if group:
            figure.add(text, "circle", colour, _markers(group, index, colour), hollow=fitted)
    scale = _scale(points)
    figure.layout = {
        "xaxis": {"title": {"text": "predicted latency (ms)"}, "automargin": True, **scale},
        "yaxis": {"automargin": True, **scale},
        "annotations": [heading("measured latency (ms)", "y domain")],
    }
    figure.caption = " ".join([_in_words(points), *_fit(table)])
    return figure


def latency_remark(run: RunData) -> str:
    """Return why there is no such figure where one might be looked for; empty where not."""
    timed = any(_NAME in trial.metrics for trial in run.trials)
    if not run.outline.model or not timed or predictions(run.trials):
        return ""
    return (
        "Latency was measured and never predicted. With latency: {table: true} in the space file a"
        " run first measures each distinct block of its networks, predicts every candidate's"
        " latency from them, and shows here how well."
    )


def _key(architecture: Mapping[str, Any]) -> str:
    return json.dumps(dict(architecture), sort_keys=True)


def _inside(point: Prediction) -> bool:
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


def _table(run: RunData) -> Mapping[str, Any]:
    """Return the run's latency table; empty where there is none that can be read."""
    try:
        data = json.loads(RunFolder(run.path).latency_table_path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    whole = isinstance(data, dict) and {"networks", "calibration", "entries"} <= data.keys()
    return data if whole else {}


def _scale(points: Sequence[Prediction]) -> dict[str, Any]:
    """Logarithmic axes where latencies span much: errors are relative."""
    values = [point.measured.value for point in points]
    if max(values) <= _SPAN * min(values):
        return {}
    return {"type": "log", "tickvals": [m * 10**e for e in range(-3, 6) for m in (1, 2, 5)]}


def _diagonal(points: Sequence[Prediction]) -> Trace:
    values = [one.value for point in points for one in (point.predicted, point.measured)]
    ends = [rounded(0.95 * min(values), 4), rounded(1.05 * max(values), 4)]
    return {
        "mode": "lines", "x": ends, "y": ends, "hoverinfo": "skip",
        "line": {"color": "@muted", "width": 1.5, "dash": "dash"},
    }  # fmt: skip


def _markers(group: Sequence[Prediction], index: int, colour: str) -> Trace:
    fitted = group[0].fitted
    return {
        "mode": "markers",
        "x": [rounded(point.predicted.value) for point in group],
        "y": [rounded(point.measured.value) for point in group],
        "error_x": _bars([point.predicted for point in group], colour),
        "error_y": _bars([point.measured for point in group], colour),
        "marker": {
            "symbol": "circle-open" if fitted else "circle",
            "size": 8,
            "color": f"@{colour}",
            "line": {"width": 2 if fitted else 1, "color": f"@{colour if fitted else 'surface'}"},
        },
        "customdata": [point.trial for point in group],
        "meta": {"run": index},
        "hoverinfo": "text",
        "hovertext": [_hover(point) for point in group],
    }


def _bars(metrics: Sequence[Metric], colour: str) -> Trace:
    """Return plotly's error bars for 95 % intervals."""

    def arm(end: float | None, metric: Metric, sign: int) -> float | None:
        return rounded(max(0.0, sign * (end - metric.value)), 4) if end is not None else 0

    return {
        "type": "data", "symmetric": False, "thickness": 1, "width": 0, "color": f"@{colour}-bar",
        "arrayminus": [arm(metric.low, metric, -1) for metric in metrics],
        "array": [arm(metric.high, metric, 1) for metric in metrics],
    }  # fmt: skip


def _hover(point: Prediction) -> str:
    lines = [f"<b>trial {point.trial}</b>"]
    for one in (point.predicted, point.measured):
        ends = interval(one, known=True)
        lines.append(f"{one.source} {display(_NAME, one.value, known=True)}")
        lines[-1] += f" ({ends})" if ends else ""
    return "<br>".join(lines)


def _in_words(points: Sequence[Prediction]) -> str:
    """Return the error and the rank correlation, of trials that the fit did not use if it can."""
    fresh = [point for point in points if not point.fitted]
    found = agreement(fresh or points)
    assert found is not None
    which = "that the fit did not use " if fresh and len(fresh) < len(points) else ""
    which = which if fresh else "that the fit used "
    rank = found.rank_correlation
    order = f", and Spearman's rank correlation is {rank:.3f}" if rank is not None else ""
    return (
        f"Over {counted_noun(found.count, 'trial')} {which}the prediction was off by"
        f" {found.error:.1%} on average (MAPE){order}; {found.covered} of {found.count}"
        " measurements lie in their prediction's 95 % interval. Bars are 95 % intervals."
    )


def _fit(table: Mapping[str, Any]) -> list[str]:
    """Return what the predictions are made from, in words."""
    if not table:
        return []
    fit, count = table["calibration"], len(table["entries"])
    parts = f"Predicted from {count:,} blocks, each measured once before the search"
    if not fit.get("networks"):
        return [f"{parts}: the plain sum of a network's blocks."]
    constant = fit.get("constant_ms") or 0.0
    beside = (
        f" {'plus' if constant > 0 else 'minus'} {significant(abs(constant), 3)} ms"
        if constant
        else ""
    )
    spread = fit.get("spread")
    sure = f", with residuals of {spread:.1%}" if spread and math.isfinite(spread) else ""
    return [
        f"{parts}: {significant(fit['ratio'], 3)} times the sum of a network's blocks{beside},"
        f" fitted to {fit['networks']} whole networks{sure}."
    ]
