"""Learning curves as small multiples: a panel for each architecture, all on the same axes."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from invsearch.report.plot.figure import Figure, Trace
from invsearch.report.text import axis_title
from invsearch.runs import RunData, Trial
from invsearch.runs.curves import CurvePoint
from invsearch.value import rounded

__all__ = ["curves_figure"]

_COLUMNS = 4  # at the page's width a panel is as wide as a thumb
_MOST = 24  # panels: six rows are two screens, whatever the run's size
_SEEDS = 4  # curves of a panel: a search gives few trials more seeds
_POINTS = 60  # of a curve: a point per 3 px of a panel
_ROW_PX, _GAP = 150, 0.3  # of a row, and its part between panels, where the names stand
_TRAINING = "train_loss"

Points = Sequence[CurvePoint]


def curves_figure(run: RunData) -> Figure | None:
    """Draw the curves of the front's members and of some of the other trials.

    Args:
        run: The run; what is drawn of it is bounded, however many trials it has.

    Returns:
        The figure; None where no curve has two points.
    """
    curves = _curves(run.points)
    metric = _metric(run, curves)
    if metric is None:
        return None
    drawn = {_TRAINING, metric} if metric == "val_loss" else {metric}
    shown = _shown(run, [number for number, seeds in curves.items() if _drawable(seeds, drawn)])
    if not shown:
        return None
    rows = math.ceil(len(shown) / _COLUMNS)
    figure = Figure(title=f"Curves of {_words(run, metric)}", height=60 + _ROW_PX * rows)
    figure.layout = {"annotations": [], **_axes(len(shown), rows)}
    every = [points for seeds in curves.values() for points in seeds.values()]
    groups: dict[str, list[Trace]] = defaultdict(list)
    for place, trial in enumerate(shown):
        for name, traces in _panel(curves[trial.number], metric, drawn, _medians(every, metric)):
            groups[name] += [{**trace, **_at(place)} for trace in traces]
        figure.layout["annotations"].append(_name(trial, place))
    for name, (colour, dash) in _STYLES.items():
        if groups[name]:
            figure.add_together(name, "line", colour, groups[name], dash=dash)
    figure.caption = _caption(len(shown), len(curves))
    return figure


_VALIDATION, _OF_TRAINING, _MEDIAN = "on the validation set", "on the training set", "median"
_STYLES = {_VALIDATION: ("run0", ""), _OF_TRAINING: ("run1", "dot"), _MEDIAN: ("muted", "")}


def _curves(points: Points) -> dict[int, dict[int, list[CurvePoint]]]:
    """By trial and seed, in the order of the steps."""
    found: dict[int, dict[int, list[CurvePoint]]] = {}
    for point in sorted(points, key=lambda point: point.step):
        found.setdefault(point.trial, {}).setdefault(point.seed, []).append(point)
    return found


def _metric(run: RunData, curves: Mapping[int, Mapping[int, Points]]) -> str | None:
    """What is drawn: the first objective that has curves, else the validation or training loss."""
    names = {
        name for seeds in curves.values() for c in seeds.values() for p in c for name in p.metrics
    }
    for name in (*run.objectives, "val_loss", _TRAINING):
        if name in names:
            return "val_loss" if name == _TRAINING and "val_loss" in names else name
    return min(names, default=None)


def _words(run: RunData, metric: str) -> str:
    if metric == _TRAINING:
        return "training loss (nats)"
    return axis_title(metric, run.objectives.get(metric), known=run.outline.model)


def _drawable(seeds: Mapping[int, Points], names: set[str]) -> bool:
    return any(
        sum(name in point.metrics for point in points) > 1
        for points in seeds.values()
        for name in names
    )


def _shown(run: RunData, numbers: Sequence[int]) -> list[Trial]:
    """The front's members first, then others of the search, evenly from first to last."""
    left = {trial.number: trial for trial in run.trials if trial.number in set(numbers)}
    members = [left.pop(m.trial.number) for m in run.members if m.trial.number in left]
    room = _MOST - len(members[:_MOST])
    others = list(left.values())
    step = max(1.0, len(others) / room) if room else 1.0
    even = [others[int(place * step)] for place in range(min(room, len(others)))]
    return [*members[:_MOST], *even]


def _medians(curves: Sequence[Points], metric: str) -> list[tuple[int, float]]:
    """Of all curves, by step: what a panel is compared with."""
    at: dict[int, list[float]] = defaultdict(list)
    for points in curves:
        for point in points:
            if metric in point.metrics:
                at[point.step].append(point.metrics[metric])
    return _thinned([(step, statistics.median(values)) for step, values in sorted(at.items())])


def _panel(
    seeds: Mapping[int, Points], metric: str, drawn: set[str], medians: list[tuple[int, float]]
) -> list[tuple[str, list[Trace]]]:
    found = {name: list[Trace]() for name in _STYLES}
    found[_MEDIAN].append(_line(medians, "muted", "solid", 1))
    for points in list(seeds.values())[:_SEEDS]:
        for name in sorted(drawn):
            values = [(p.step, p.metrics[name]) for p in points if name in p.metrics]
            kind = _OF_TRAINING if name == _TRAINING else _VALIDATION
            colour, dash = _STYLES[kind]
            if values:
                found[kind].append(_line(_thinned(values), colour, dash or "solid", 2))
    return list(found.items())


def _thinned(values: list[tuple[int, float]]) -> list[tuple[int, float]]:
    """At most so many points as can be told apart, first and last among them."""
    if len(values) <= _POINTS:
        return values
    return [values[round(i * (len(values) - 1) / (_POINTS - 1))] for i in range(_POINTS)]


def _line(values: Sequence[tuple[int, float]], colour: str, dash: str, width: int) -> Trace:
    return {
        "mode": "lines+markers" if colour != "muted" and len(values) < 10 else "lines",
        "x": [step for step, _ in values],
        "y": [rounded(value, 4) for _, value in values],
        "line": {"color": f"@{colour}", "width": width, "dash": dash},
        "marker": {"size": 4, "color": f"@{colour}"},
        "hovertemplate": "%{x}: %{y}<extra></extra>",
    }


def _at(place: int) -> dict[str, str]:
    number = "" if place == 0 else str(place + 1)
    return {"xaxis": f"x{number}", "yaxis": f"y{number}"}


def _axes(count: int, rows: int) -> dict[str, Any]:
    """Axes that all panels share, with figures at the left and at the foot alone."""
    axes: dict[str, Any] = {}
    high, wide = 1 / rows, 1 / _COLUMNS
    for place in range(count):
        row, column = divmod(place, _COLUMNS)
        at, number = _at(place), "" if place == 0 else str(place + 1)
        foot = 1 - (row + 1) * high
        axes[f"xaxis{number}"] = {
            "domain": [column * wide + 0.01, (column + 1) * wide - 0.01], "anchor": at["yaxis"],
            "showticklabels": place + _COLUMNS >= count, "nticks": 5,
            **({"matches": "x"} if place else {}),
        }  # fmt: skip
        axes[f"yaxis{number}"] = {
            "domain": [foot + high * _GAP / 2, foot + high * (1 - _GAP / 2)],
            "anchor": at["xaxis"], "showticklabels": column == 0, "nticks": 4,
            "automargin": column == 0, **({"matches": "y"} if place else {}),
        }  # fmt: skip
    return axes


def _name(trial: Trial, place: int) -> dict[str, Any]:
    number = "" if place == 0 else str(place + 1)
    state = "" if trial.state == "complete" else f", {trial.state}"
    return {
        "name": "panel", "text": f"trial {trial.number}{state}", "xref": f"x{number} domain",
        "yref": f"y{number} domain", "x": 0, "y": 1, "xanchor": "left", "yanchor": "bottom",
        "showarrow": False, "font": {"size": 11}, "align": "left",
    }  # fmt: skip


def _caption(shown: int, count: int) -> str:
    which = (
        "All trials that have curves"
        if shown == count
        else f"The front's members and others from first to last, {shown} of {count:,} trials"
    )
    return (
        f"{which}; what is kept of every step is in curves.jsonl. All panels have the same axes:"
        " steps (epochs, where networks are trained) to the right. The grey line is the median of"
        " all trials at each step; a further seed is a further line."
    )
