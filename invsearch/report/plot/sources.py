"""What a source said of networks against what training them alone gave, drawn."""

from __future__ import annotations

from collections.abc import Sequence

from invsearch.accuracy.told import Line
from invsearch.report.plot.figure import Axis, Figure, heading
from invsearch.report.text import plot_text
from invsearch.runs import RunData, Trial
from invsearch.value import rounded

__all__ = ["source_figure"]

_FEW = 3  # networks: two points are a line whatever the source is worth


def source_figure(
    run: RunData, index: int, name: str, metric: str, lines: Sequence[Line]
) -> Figure | None:
    """Draw a source; None below three networks that it could tell of and that were trained.

    Args:
        run: The run.
        index: Its place on the page.
        name: Of the source, as a row has it.
        metric: Of the trainings.
        lines: What the sources said.
    """
    told = {line.architecture: value for line in lines if (value := _value(line, name)) is not None}
    trials = [
        trial
        for trial in run.trials
        if trial.state == "complete" and metric in trial.metrics and trial.architecture.key in told
    ]
    if len(trials) < _FEW:
        return None
    axis = Axis(run, metric)
    figure = Figure(f"{name}: hinted against trained alone", height=380, selectable=True)
    x = [rounded(told[trial.architecture.key]) for trial in trials]
    trace = {
        "mode": "markers", "x": x, "y": axis.values(trials),
        "error_y": axis.bars(trials, "@other-bar"),
        "marker": {"size": 8, "color": "@front", "line": {"width": 1, "color": "@surface"}},
        "customdata": [trial.number for trial in trials],
        "meta": {"run": index}, "hoverinfo": "text",
        "hovertext": [_hover(trial) for trial in trials],
    }  # fmt: skip
    figure.add("network, trained alone", "circle", "front", trace)
    figure.layout = {
        "xaxis": {"title": {"text": plot_text(_title(name))}, "automargin": True},
        "yaxis": {"automargin": True},
        "annotations": [heading(axis.title, "y domain")],
    }
    figure.caption = f"{len(trials)} networks; bars are 95 % intervals."
    return figure


def _value(line: Line, name: str) -> float | None:
    """What a line says of the source of a row: a supernet's is its error, or another metric."""
    source, _, part = name.partition("/")
    if line.source == source == "supernet":
        return line.values.get(part or "error")
    return None if line.source == "supernet" else line.values.get(name)


def _title(name: str) -> str:
    if name in ("params", "macs"):
        return f"log({name})"
    return "supernet's error (%)" if name == "supernet" else name


def _hover(trial: Trial) -> str:
    return f"<b>trial {trial.number}</b>"
