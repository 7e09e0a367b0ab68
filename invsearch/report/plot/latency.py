"""Predicted against measured latency, drawn."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from invsearch.metrics import Metric
from invsearch.report.agreement import LATENCY, LatencyPair, agreement, latency_table, predictions
from invsearch.report.plot.figure import Figure, Trace, heading
from invsearch.report.text import counted_noun, display, interval, short
from invsearch.runs import RunData
from invsearch.value import rounded, significant

__all__ = ["latency_figure"]

_SPAN = 8  # times the smallest: beyond, errors of some percent at the low end are below a mark


def latency_figure(run: RunData, index: int, name: str = LATENCY) -> Figure | None:
    """Return predicted against measured latency, None where nothing was predicted.

    Args:
        run: The run.
        index: Its place on the page.
        name: The latency, of a target or not.
    """
    table = latency_table(run, name)
    points = predictions(run.trials, table, name)
    if not points:
        return None
    what = short(name, known=True)
    title = f"{what[0].upper()}{what[1:]}: predicted against measured"
    figure = Figure(title=title, height=460, selectable=True)
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


def _scale(points: Sequence[LatencyPair]) -> dict[str, Any]:
    """Logarithmic axes where latencies span much: errors are relative."""
    values = [point.measured.value for point in points]
    if max(values) <= _SPAN * min(values):
        return {}
    return {"type": "log", "tickvals": [m * 10**e for e in range(-3, 6) for m in (1, 2, 5)]}


def _diagonal(points: Sequence[LatencyPair]) -> Trace:
    values = [one.value for point in points for one in (point.predicted, point.measured)]
    ends = [rounded(0.95 * min(values), 4), rounded(1.05 * max(values), 4)]
    return {
        "mode": "lines", "x": ends, "y": ends, "hoverinfo": "skip",
        "line": {"color": "@muted", "width": 1.5, "dash": "dash"},
    }  # fmt: skip


def _markers(group: Sequence[LatencyPair], index: int, colour: str) -> Trace:
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


def _hover(point: LatencyPair) -> str:
    lines = [f"<b>trial {point.trial}</b>"]
    for one in (point.predicted, point.measured):
        ends = interval(one, known=True)
        lines.append(f"{one.source} {display(one.name, one.value, known=True)}")
        lines[-1] += f" ({ends})" if ends else ""
    return "<br>".join(lines)


def _in_words(points: Sequence[LatencyPair]) -> str:
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
