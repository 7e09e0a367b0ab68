"""The fronts of several runs of the same objectives, in one figure a pair of these."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from invsearch.metrics import Metric
from invsearch.report.plot.figure import Axis, Figure, Trace, heading, pairs, run_colour
from invsearch.report.plot.front import set_scale
from invsearch.report.text import pixels, short
from invsearch.runs import FrontMember, RunData

__all__ = ["compared_fronts", "run_names"]

_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "pentagon")


def compared_fronts(runs: Sequence[RunData]) -> list[Figure]:
    """Draw the fronts of runs of the same objectives together, a figure per pair of these.

    Args:
        runs: All runs of the page, in their order; those without a front are left out.
    """
    members = [(index, run) for index, run in enumerate(runs) if run.members]
    if not members or len(members[0][1].objectives) < 2:
        return []
    return [_fronts(members, x.metric, y.metric) for x, y in pairs(members[0][1])]


def _fronts(runs: Sequence[tuple[int, RunData]], x: str | None, y: str | None) -> Figure:
    across, up = Axis(runs[0][1], x), Axis(runs[0][1], y)
    figure = Figure(title=f"Fronts: {up.name} against {across.name}", selectable=True)
    names, sources = run_names([run for _, run in runs]), [_sources(run, x, y) for _, run in runs]
    for place, (index, run) in enumerate(runs):
        text = names[place] + (f" ({sources[place]})" if len(set(sources)) > 1 else "")
        traces = _traces(index, run, Axis(run, x), Axis(run, y), place)
        figure.add_together(text, _symbol(place), run_colour(place), traces)
    figure.layout = {
        "xaxis": {"title": {"text": across.title}, "automargin": True, "exponentformat": "SI"},
        "yaxis": {"automargin": True, "exponentformat": "SI"},
        "annotations": [heading(up.title, "y domain")],
    }
    set_scale(figure, "xaxis", across)
    set_scale(figure, "yaxis", up)
    figure.caption = "Shapes and colours are runs here. Only members of each run's own front." + (
        " Hollow ones are more likely dominated than not."
        if any(member.doubtful for _, run in runs for member in run.members)
        else ""
    )
    return figure


def _symbol(place: int) -> str:
    return _SYMBOLS[place % len(_SYMBOLS)]


def run_names(runs: Sequence[RunData]) -> list[str]:
    """Return the folders' names; their paths where two are called the same."""
    names = [run.path.resolve().name for run in runs]
    counts = Counter(names)
    pairs_of = zip(runs, names, strict=True)
    return [str(run.path) if counts[name] > 1 else name for run, name in pairs_of]


def _sources(run: RunData, *metrics: str | None) -> str:
    known = run.outline.model
    return ", ".join(
        f"{short(name, known=known)} {source}"
        for name in metrics
        if name
        for source in sorted({_source(member.trial.metrics[name]) for member in run.members})
    )


def _source(metric: Metric) -> str:
    """Return where a number comes from, and of which image where it is a cost."""
    return f"{metric.source} at {pixels(metric.image)}" if metric.image else metric.source


def _traces(index: int, run: RunData, x: Axis, y: Axis, place: int) -> list[Trace]:
    """Return a run's members, the doubtful ones apart, and the border of what they dominate."""
    colour = f"@{run_colour(place)}"
    ordered = sorted(run.members, key=lambda member: x.values([member.trial]))
    traces: list[Trace] = []
    if len(run.objectives) == 2:
        shape = "vh" if x.maximized else "hv"
        line = {"color": colour, "width": 1.5, "shape": shape}
        trials = sorted(run.border, key=lambda trial: x.values([trial]))
        points = {"x": x.values(trials), "y": y.values(trials)}
        traces.append({"mode": "lines", **points, "line": line, "hoverinfo": "skip"})
    for doubtful in (False, True):
        chosen = [member for member in ordered if member.doubtful == doubtful]
        if chosen:
            traces.append(_markers(index, chosen, x, y, place))
    return traces


def _markers(index: int, members: Sequence[FrontMember], x: Axis, y: Axis, place: int) -> Trace:
    trials, colour = [member.trial for member in members], f"@{run_colour(place)}"
    hollow = members[0].doubtful
    line = {"width": 2 if hollow else 1, "color": colour if hollow else "@surface"}
    marker = {"symbol": _symbol(place) + ("-open" if hollow else ""), "size": 10, "line": line}
    return {
        "mode": "markers", "x": x.values(trials), "y": y.values(trials),
        "marker": {**marker, "color": colour}, "customdata": [trial.number for trial in trials],
        "meta": {"run": index}, "hoverinfo": "text",
    }  # fmt: skip
