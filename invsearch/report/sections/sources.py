"""The sources that gave the search hints: what they were worth, judged by the run's trainings."""

from __future__ import annotations

from collections.abc import Sequence

from invsearch.accuracy.told import HINTS, Line, read_told
from invsearch.accuracy.worth import Row, rows_of, useless
from invsearch.metrics import metric_info
from invsearch.report.blocks import Figures, Grid, PageBlock, Prose, Section
from invsearch.report.plot.sources import source_figure
from invsearch.report.shown import ShownRun
from invsearch.report.text import counted_noun, short
from invsearch.runs import RunData

__all__ = ["section"]

_HEADS = (
    ("source", "text"), ("tau", "number"), ("95 % interval", "number"),
    ("at equal cost (tau)", "number"), ("95 % interval", "number"),
    ("CPU seconds a network", "number"), ("", "remark"),
)  # fmt: skip
_EXPLAINED = (
    "Hints to the search and never an objective: every network of the front was trained alone."
    " Tau is Kendall's, between a source and the {metric} of {networks} that were trained to the"
    " end; at equal cost, the logarithm of the parameters is regressed out of both. A search picks"
    " what looks good, so its trials rank less surely than networks drawn at random do"
    " (invsearch bench sources). A source that ranks no better than the number of parameters,"
    " which costs nothing, is called useless here."
)


def section(shown: ShownRun) -> Section | None:
    """Judge the sources; None where there were none, or nothing was trained."""
    run = shown.run
    metric, lines = _ranked_by(run), read_told(run.path / HINTS)
    if metric is None or not lines:
        return None
    trained = _trained(run, metric)
    kept = {line.architecture for line in trained}
    params = {
        trial.architecture.key: trial.metrics["params"].value
        for trial in run.trials
        if trial.architecture.key in kept
    }
    told = [line for line in lines if not line.architecture or line.architecture in kept]
    rows = rows_of([*told, *trained], metric, run.objectives[metric], params)
    if not rows:
        return None
    rows.sort(key=lambda row: -2.0 if row.found.tau is None else row.found.tau, reverse=True)
    words = _EXPLAINED.format(
        metric=short(metric, known=True), networks=counted_noun(len(trained), "network")
    )
    figures = [
        (f"source-{place}", figure)
        for place, row in enumerate(rows)
        if (figure := source_figure(run, shown.index, row.source, metric, told)) is not None
    ]
    blocks: list[PageBlock] = [
        Prose(words, "hint"),
        Grid("Sources", _HEADS, [_cells(row, rows) for row in rows]),
    ]
    return Section("Sources", [*blocks, *([Figures(figures)] if figures else [])])


def _ranked_by(run: RunData) -> str | None:
    """The first objective that was trained."""
    for name in run.objectives:
        info = metric_info(name) if run.outline.model else None
        if info is not None and info.kind == "accuracy":
            return name
    return None


def _trained(run: RunData, metric: str) -> list[Line]:
    return [
        Line(trial.architecture.key, "trained", 0, {metric: trial.metrics[metric].value}, 0.0)
        for trial in run.trials
        if trial.state == "complete"
        and metric in trial.metrics
        and trial.metrics[metric].source == "trained"
        and "params" in trial.metrics
    ]


def _cells(row: Row, rows: Sequence[Row]) -> list[str]:
    found = row.found
    once = f" + {row.once:.0f} once" if row.once else ""
    return [
        row.source,
        _figure(found.tau),
        _ends(found.low, found.high),
        _figure(found.equal_cost),
        _ends(found.equal_low, found.equal_high),
        f"{row.cpu_seconds:.2g}{once}",
        "useless here" if useless(row, rows) else "",
    ]


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _ends(low: float | None, high: float | None) -> str:
    return "-" if low is None or high is None else f"{low:.2f} to {high:.2f}"
