"""The front, drawn for every pair of objectives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from invsearch.report.paper import SIDE, PaperPoint, other_image
from invsearch.report.plot.figure import COUNTED, Axis, Figure, Trace, heading, pairs
from invsearch.report.plot.paper import add_paper
from invsearch.report.text import joined, pixels
from invsearch.runs import RunData, Trial
from invsearch.runs.front import comparable

__all__ = ["SYMBOLS", "front_figures", "set_scale"]

# A pair is drawn in the shape of its least certain source, listed from the surest.
SYMBOLS = {
    "counted": "diamond",
    "measured": "square",
    "published": "star",
    "table": "pentagon",
    "evaluated": "cross",
    "trained": "circle",
    "supernet": "hexagon",
    "proxy": "triangle-down",
    "predicted": "triangle-up",
}
_CERTAINTY = {source: rank for rank, source in enumerate(SYMBOLS)}
_BARS_FOR = 80  # the most trials off the front whose intervals are drawn: more is a grey cloud
MOST_POINTS = 2_000  # trials off the front that are drawn: more cover each other, and plotly needs
# a millisecond for three of them in every figure


def front_figures(run: RunData, index: int, paper: Sequence[PaperPoint]) -> list[Figure]:
    """Draw the front for every pair of objectives.

    Args:
        run: The run.
        index: Its place on the page, by which hovering finds its trials.
        paper: The paper's networks; drawn where the x axis is counted and the space is one of
            networks (an evaluator's metrics are its own, whatever their names).

    Returns:
        A figure per pair; none where nothing can be compared.
    """
    if not run.objectives or not comparable(run.trials, run.objectives):
        return []
    points = paper if run.outline.model else ()
    figures: list[Figure] = []
    panels: set[str | None] = set()
    for x, y in pairs(run):
        shown = () if x.metric in panels and not y.counted else points
        figures.append(_front_figure(run, index, x, y, shown, first=not figures))
        if "yaxis2" in figures[-1].layout:
            panels.add(x.metric)
    return figures


def _front_figure(
    run: RunData, index: int, x: Axis, y: Axis, paper: Sequence[PaperPoint], *, first: bool
) -> Figure:
    title = f"{y.name[:1].upper()}{y.name[1:]} against {x.name}"
    figure = Figure(title=title, selectable=True)
    trials = comparable(run.trials, run.objectives)
    sources = _by_source(trials, x, y)
    figure.layout = {
        "xaxis": {"title": {"text": x.title}, "automargin": True, "exponentformat": "SI"},
        "yaxis": {"automargin": True, "exponentformat": "SI"},
        "annotations": [heading(y.title, "y domain")],
    }
    place = add_paper(figure, run, x, y, paper)
    _add_staircase(figure, run, x, y)
    for source, group in sources.items():
        _add_trials(figure, run, index, group, f" ({source})" if len(sources) > 1 else "", x, y)
    _add_beliefs(figure, run, x, y)
    _add_baselines(figure, index, [t for t in trials if t.origin == "baseline"], x, y)
    set_scale(figure, "xaxis", x)
    set_scale(figure, "yaxis", y)
    shapes = {source: _symbol(group[0], x, y) for source, group in sources.items()}
    figure.caption = " ".join([_shapes(shapes), *(_remarks(run, place) if first else [])])
    return figure


def _by_source(trials: Sequence[Trial], x: Axis, y: Axis) -> dict[str, list[Trial]]:
    """Group trials by the sources of the two axes, in words."""
    groups: dict[str, list[Trial]] = {}
    for trial in trials:
        words = [f"{a.name} {trial.metrics[a.metric].source}" for a in (y, x) if a.metric]
        groups.setdefault(", ".join(words), []).append(trial)
    return dict(sorted(groups.items()))


def _symbol(trial: Trial, x: Axis, y: Axis) -> str:
    sources = [trial.metrics[axis.metric].source for axis in (x, y) if axis.metric]
    return SYMBOLS[max(sources, key=_CERTAINTY.__getitem__)]


def _add_trials(
    figure: Figure, run: RunData, index: int, group: Sequence[Trial], source: str, x: Axis, y: Axis
) -> None:
    """Add the trials of one source: off the front, on it, and doubtfully on it."""
    doubtful = {member.trial.number: member.doubtful for member in run.members}
    parts: dict[str, list[Trial]] = {"off the front": [], "front": [], "front, doubtful": []}
    for trial in group:
        unsure = doubtful.get(trial.number)
        key = "off the front" if unsure is None else "front, doubtful" if unsure else "front"
        parts[key].append(trial)
    parts["off the front"] = _thinned(parts["off the front"])
    for text, chosen in parts.items():
        if chosen:
            hollow = text == "front, doubtful"
            colour = "other" if text == "off the front" else "front"
            trace = _markers(index, chosen, x, y, colour, hollow=hollow)
            figure.add(text + source, _symbol(chosen[0], x, y), colour, trace, hollow=hollow)


def _thinned(trials: list[Trial]) -> list[Trial]:
    """At most :data:`MOST_POINTS` of the trials, evenly by number; baselines have their rings."""
    step = max(1.0, len(trials) / MOST_POINTS)
    return [trials[int(place * step)] for place in range(min(len(trials), MOST_POINTS))]


def _markers(
    index: int, trials: Sequence[Trial], x: Axis, y: Axis, colour: str, *, hollow: bool
) -> Trace:
    on_front = colour == "front"
    marker = {
        "symbol": _symbol(trials[0], x, y) + ("-open" if hollow else ""),
        "size": 11 if on_front else 7,
        "color": f"@{colour}",
        "opacity": 1 if on_front else 0.65,
        "line": {"width": 2 if hollow else 1, "color": f"@{colour}" if hollow else "@surface"},
    }
    trace: Trace = {
        "mode": "markers", "x": x.values(trials), "y": y.values(trials), "marker": marker,
        "customdata": [trial.number for trial in trials], "meta": {"run": index},
        "hoverinfo": "text",
    }  # fmt: skip
    if on_front or len(trials) <= _BARS_FOR:
        bars = {"error_x": x.bars(trials, f"@{colour}-bar")}
        bars["error_y"] = y.bars(trials, f"@{colour}-bar")
        trace.update({name: arms for name, arms in bars.items() if arms})
    return trace


def _add_staircase(figure: Figure, run: RunData, x: Axis, y: Axis) -> None:
    """Join the members of a front of two objectives by the border of what they dominate."""
    if len(run.objectives) != 2:
        return
    members = sorted(run.border, key=lambda trial: x.values([trial]))
    shape = "vh" if x.maximized else "hv"
    line = {
        "mode": "lines", "x": x.values(members), "y": y.values(members), "hoverinfo": "skip",
        "line": {"color": "@front", "width": 1.5, "shape": shape},
    }  # fmt: skip
    figure.add("border of the front", "line", "front", line)


def _add_beliefs(figure: Figure, run: RunData, x: Axis, y: Axis) -> None:
    """Mark what is believed of each member, with its interval, where anything is noisy."""
    if run.beliefs is None or not {x.metric, y.metric} & {*run.beliefs.uncertain}:
        return
    members = [run.as_believed(member.trial) for member in run.members]
    line = {"width": 2, "color": "@front"}
    trace: Trace = {
        "mode": "markers", "x": x.values(members), "y": y.values(members), "hoverinfo": "skip",
        "marker": {"symbol": "line-ew", "size": 12, "color": "@front", "line": line},
    }  # fmt: skip
    for name, axis in (("error_x", x), ("error_y", y)):
        arms = axis.bars(members, "@front-bar")
        if arms and axis.metric in run.beliefs.uncertain:
            trace[name] = {**arms, "thickness": 4}
    figure.add("what is believed", "line-ew", "front", trace)


def _add_baselines(
    figure: Figure, index: int, baselines: Sequence[Trial], x: Axis, y: Axis
) -> None:
    """Ring the baselines, wherever they lie."""
    if not baselines:
        return
    ring = {
        "mode": "markers", "x": x.values(baselines), "y": y.values(baselines),
        "marker": {"symbol": "circle-open", "size": 17, "color": "@baseline", "line": {"width": 2}},
        "hoverinfo": "skip", "customdata": [trial.number for trial in baselines],
        "meta": {"run": index},
    }  # fmt: skip
    figure.add("baseline", "ring", "baseline", ring, hollow=True)


def set_scale(figure: Figure, name: str, axis: Axis) -> None:
    """Make an axis logarithmic where it spans much: a factor of four of a counted cost, else 50."""
    own = [trace for trace in figure.data if name == "xaxis" or trace.get("yaxis") != "y2"]
    values = [value for trace in own for value in _reach(trace, name)]
    ratio = max(values) / min(values) if values and min(values) > 0 else 0
    if axis.metric is None or ratio <= (4 if axis.counted else 50):
        return
    ticks = {"type": "log", "tickformat": "~s", "dtick": "D2" if ratio < 200 else 1}
    figure.layout[name].update(ticks)


def _reach(trace: Trace, name: str) -> list[float]:
    """Return a trace's values on an axis, and where its intervals begin."""
    arms = trace.get(f"error_{name[0]}", {}).get("arrayminus", [])
    low = [value - arm for value, arm in zip(trace[name[0]], arms, strict=False)]
    return [*trace[name[0]], *low]


def _shapes(shapes: dict[str, str]) -> str:
    words = joined(f"{symbol.replace('-', ' ')} is {text}" for text, symbol in shapes.items())
    return f"Marker shapes are sources: {words}."


def _remarks(run: RunData, paper: str) -> list[str]:
    """Return what holds for every pair; it is said below the first."""
    shown = comparable(run.trials, run.objectives)
    parts = []
    if any(trial.metrics[name].sigma for trial in shown for name in run.objectives):
        some = "" if len(shown) <= _BARS_FOR else ", drawn for the front"
        parts.append(f"Bars are 95 % intervals{some}.")
    if any(member.doubtful for member in run.members):
        parts.append("Hollow members are more likely dominated than not.")
    if run.beliefs is not None:
        parts.append(_BELIEVED)
    if len(shown) - len(run.members) > MOST_POINTS:
        parts.append(
            f"Off the front no more than {MOST_POINTS:,} trials are drawn, evenly chosen; the table"
            " has them all."
        )
    if len(run.objectives) > 2:
        parts.append("The front is over all objectives: a member may look dominated in one pair.")
    return [*parts, *_PAPER[paper], *_not_beside(run), *_left_out(run)]


_BELIEVED = (
    "A tick with a broad bar is what is believed of a member: its value weighed, by its noise,"
    " against what similar networks reached. The border joins these; who looks best by luck alone"
    " lies beyond it."
)
_READ_OFF = "ResNet accuracies were read off the paper's figure."
_PAPER = {
    "": [],
    "same": ["The paper's networks are counted here at 224 x 224.", _READ_OFF],
    "panel": [
        "The lower panel is another quantity on its own axis: the paper's published ImageNet error,"
        " against costs counted here at 224 x 224.",
        _READ_OFF,
    ],
}


def _not_beside(run: RunData) -> list[str]:
    """Say why the paper's networks are missing where they would be looked for."""
    image = other_image(run) if run.outline.model and {*COUNTED} & {*run.objectives} else None
    if image is None:
        return []
    return [
        f"Costs are of one image of {pixels(image)} pixels; the paper's classifiers, counted at"
        f" {SIDE} x {SIDE}, are not drawn beside them."
    ]


def _left_out(run: RunData) -> list[str]:
    shown = {trial.number for trial in comparable(run.trials, run.objectives)}
    hidden = [trial for trial in run.trials if trial.number not in shown]
    if not hidden:
        return []
    counts = Counter(
        "not comparable" if trial.state == "complete" else trial.state for trial in hidden
    )
    words = joined(f"{count} {state}" for state, count in sorted(counts.items()))
    one = len(hidden) == 1
    return [f"Not drawn, but in the table: {words} trial{'' if one else 's'}."]
