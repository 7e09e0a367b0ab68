"""The hypervolume against trials and against time, of one run or of several per strategy."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from invsearch.report.plot.figure import Figure, Trace, heading, run_colour
from invsearch.report.text import seconds_after, start_of
from invsearch.runs import RunData
from invsearch.runs.front import hypervolume_trace
from invsearch.value import rounded

__all__ = ["Against", "compared_hypervolume", "hypervolume_figure"]

Against = Literal["trials", "time"]
Curve = list[tuple[float, float]]
"""Steps of one run: (trials or seconds so far, share of the box)."""

_DASHES = ("solid", "dash", "dot", "dashdot")
_MARKED = 60  # the most trials of which each is marked: at half a page that is a mark per 10 px
_GRID = 200  # places at which a band is drawn: one per 3 px at half a page
_MINUTES, _HOURS = 300.0, 10800.0  # seconds from which these are the unit: 5 min, 3 h, so that
# an axis counts to three at least


def hypervolume_figure(run: RunData, index: int, against: Against = "trials") -> Figure | None:
    """Draw the dominated share of the objectives' box against trials or time.

    Args:
        run: The run.
        index: Its place on the page, by which selecting finds its trials.
        against: What lies on the x axis.

    Returns:
        The figure; None where no trial can be compared, or no time is known.
    """
    trace = hypervolume_trace(run.trials, run.objectives)
    curve = _curve(run, trace, against)
    if not curve:
        return None
    scale, unit = _unit([curve], against)
    figure = _figure(against, unit)
    traces = [_line(_steps(curve), scale, "@run0", "solid")]
    if len(trace) <= _MARKED and len(curve) == len(trace):
        traces.append(_marks(curve, scale, [number for number, _ in trace], index))
    figure.add_together("hypervolume", "line", "run0", traces)
    figure.caption = _CAPTIONS[against]
    return figure


def compared_hypervolume(runs: Sequence[RunData], against: Against = "trials") -> Figure | None:
    """Draw several runs of the same objectives in one box, a line per strategy.

    Runs of one space by one strategy are its seeds: their mean is drawn, with a band from the worst
    to the best of them, up to where the shortest ends.
    """
    everything = [trial for run in runs for trial in run.trials]
    groups: dict[str, list[Curve]] = {}
    for run in runs:
        trace = hypervolume_trace(run.trials, run.objectives, among=everything)
        curve = _curve(run, trace, against)
        if curve:
            groups.setdefault(_group(run, runs), []).append(curve)
    if not groups:
        return None
    scale, unit = _unit([curve for curves in groups.values() for curve in curves], against)
    figure = _figure(against, unit)
    for place, (name, curves) in enumerate(groups.items()):
        _add_group(figure, name, curves, scale, place)
    figure.caption = (
        "All runs are measured in one box, between the best value that any has seen of each"
        " objective and a tenth of the range beyond the worst."
    )
    if any(len(curves) > 1 for curves in groups.values()):
        figure.caption += (
            " A line is the mean over the seeds of one strategy, its band reaches from the worst"
            " seed to the best; both end where the shortest run does."
        )
    return figure


def _group(run: RunData, runs: Sequence[RunData]) -> str:
    """Name what a run's seeds share: its strategy, and its space where there are several."""
    strategy = run.outline.search.get("strategy", "default strategy")
    several = len({other.name for other in runs}) > 1
    return f"{run.name}, {strategy}" if several else strategy


def _curve(run: RunData, trace: Sequence[tuple[int, float]], against: Against) -> Curve:
    if against == "trials":
        return [(number + 1, share) for number, share in trace]
    start = start_of(run.trials)
    if start is None:
        return []
    ends = {trial.number: seconds_after(start, trial) for trial in run.trials}
    known = [(ends[number], share) for number, share in trace]
    curve = sorted((end, share) for end, share in known if end is not None)
    best = accumulate((share for _, share in curve), max)
    return [(end, share) for (end, _), share in zip(curve, best, strict=True)]


def _unit(curves: Sequence[Curve], against: Against) -> tuple[float, str]:
    """Return what to divide x by, and its name."""
    longest = max(curve[-1][0] for curve in curves)
    if against == "trials":
        return 1.0, "trials"
    if longest >= _HOURS:
        return 3600.0, "time (h)"
    return (60.0, "time (min)") if longest >= _MINUTES else (1.0, "time (s)")


def _figure(against: Against, unit: str) -> Figure:
    figure = Figure(title=f"Hypervolume against {against}", height=400)
    figure.layout = {
        "xaxis": {"title": {"text": unit}, "automargin": True, "rangemode": "tozero"},
        "yaxis": {"automargin": True, "rangemode": "tozero", "tickformat": ".0%"},
        "annotations": [heading("hypervolume (share of the box), \u2191 better", "y domain")],
    }
    return figure


def _steps(curve: Curve) -> Curve:
    """Leave out, of a long curve, what lies on a step: the line through the rest is the same."""
    if len(curve) <= _MARKED:
        return curve
    rises = [step for before, step in pairwise(curve) if step[1] != before[1]]
    return [curve[0], *rises, *([curve[-1]] if curve[-1] not in rises else [])]


def _line(curve: Curve, scale: float, colour: str, dash: str) -> Trace:
    return {
        "mode": "lines",
        "x": [rounded(x / scale, 5) for x, _ in curve],
        "y": [rounded(share, 5) for _, share in curve],
        "line": {"shape": "hv", "color": colour, "width": 2, "dash": dash},
        "hovertemplate": "%{x}: %{y:.1%}<extra></extra>",
    }


def _marks(curve: Curve, scale: float, numbers: Sequence[int], index: int) -> Trace:
    line = _line(curve, scale, "@run0", "solid")
    return {
        "mode": "markers", "x": line["x"], "y": line["y"], "customdata": list(numbers),
        "meta": {"run": index}, "marker": {"size": 6, "color": "@run0"}, "hoverinfo": "text",
    }  # fmt: skip


def _add_group(
    figure: Figure, name: str, curves: Sequence[Curve], scale: float, place: int
) -> None:
    colour, dash = run_colour(place), _DASHES[place % len(_DASHES)]
    if len(curves) == 1:
        line = _line(_steps(curves[0]), scale, f"@{colour}", dash)
        figure.add_together(name, "line", colour, [line], dash=dash.replace("solid", ""))
        return
    end = min(curve[-1][0] for curve in curves)
    start = min(curve[0][0] for curve in curves)
    places = np.unique(np.concatenate([np.linspace(start, end, _GRID), [end]]))
    levels = np.array([_levels(curve, places) for curve in curves])
    low, mean, high = levels.min(axis=0), levels.mean(axis=0), levels.max(axis=0)
    band = {
        "mode": "lines", "fill": "toself", "line": {"width": 0}, "fillcolor": f"@{colour}-band",
        "x": [rounded(x / scale, 5) for x in map(float, [*places, *places[::-1]])],
        "y": [rounded(y, 4) for y in map(float, [*high, *low[::-1]])], "hoverinfo": "skip",
    }  # fmt: skip
    steps = list(zip(map(float, places), map(float, mean), strict=True))
    line = _line(steps, scale, f"@{colour}", dash)
    text = f"{name}, {len(curves)} seeds"
    figure.add_together(text, "line", colour, [band, line], dash=dash.replace("solid", ""))


def _levels(curve: Curve, places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a step curve's height at each place, 0 before its first step."""
    ends = np.array([x for x, _ in curve])
    heights = np.array([0.0, *(share for _, share in curve)])
    return heights[np.searchsorted(ends, places, side="right")]


_CAPTIONS = {
    "trials": (
        "The share that is dominated so far of the box between the best value seen of each"
        " objective and a tenth of the range beyond the worst. Only complete trials add to it."
    ),
    "time": "The same share against the time since the first trial began.",
}
