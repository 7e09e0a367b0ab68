"""The paper's networks drawn into a figure: published accuracy against our own counts."""

from __future__ import annotations

from collections.abc import Sequence

from invsearch.report.paper import PaperPoint
from invsearch.report.plot.figure import COUNTED, Axis, Figure, Trace, heading
from invsearch.report.text import plot_text
from invsearch.runs import RunData
from invsearch.runs.front import comparable

__all__ = ["add_paper"]


def add_paper(figure: Figure, run: RunData, x: Axis, y: Axis, paper: Sequence[PaperPoint]) -> str:
    """Draw the paper's networks into a figure whose x axis is counted.

    They share the y axis where it is the same quantity, else they get a panel of their own below,
    on the same x axis: a published ImageNet error is no error on digits.

    Returns:
        ``same``, ``panel``, or nothing where they were not drawn.
    """
    if not paper or not x.counted:
        return ""
    own = _published_values(run, y, paper)
    values = [point.network.error for point in paper] if own is None else own
    above = "rednet" if own is not None and y.maximized else "resnet"
    for family, name in (("rednet", "RedNet"), ("resnet", "ResNet")):
        trace = _trace(family, x, [*zip(paper, values, strict=True)], above=family == above)
        trace["mode"] = "lines+markers" if y.counted else "lines+markers+text"
        trace["yaxis"] = "y2" if own is None else "y"
        figure.add(f"{name} of the paper", "star", family, trace, hollow=family == "resnet")
    if own is not None:
        return "same"
    _add_panel(figure, values)
    return "panel"


def _add_panel(figure: Figure, values: Sequence[float]) -> None:
    margin = 0.22 * (max(values) - min(values))
    figure.height = 640
    figure.layout["yaxis"]["domain"] = [0.42, 1]
    figure.layout["xaxis"]["anchor"] = "y2"
    figure.layout["yaxis2"] = {
        "domain": [0, 0.31], "automargin": True, "anchor": "x",
        "range": [min(values) - margin, max(values) + margin],
    }  # fmt: skip
    title = "published ImageNet top-1 error (%), \u2193 better"
    figure.layout["annotations"].append(heading(title, "y2 domain"))


def _published_values(run: RunData, y: Axis, paper: Sequence[PaperPoint]) -> list[float] | None:
    """Return the networks' values on a run's own y axis, None where it means something else.

    Both counts are made here, so they share an axis; an accuracy does only if the run's own is the
    published one: training on another data set gives another quantity under the same name.
    """
    if y.metric in COUNTED:
        return [point.params if y.metric == "params" else point.macs for point in paper]
    if y.metric not in ("top1", "error"):
        return None
    trials = comparable(run.trials, run.objectives)
    if any(trial.metrics[y.metric].source != "published" for trial in trials):
        return None
    return [p.network.top1 if y.metric == "top1" else p.network.error for p in paper]


def _trace(
    family: str, x: Axis, points: Sequence[tuple[PaperPoint, float]], *, above: bool
) -> Trace:
    chosen = [(point, value) for point, value in points if point.network.family == family]
    hollow = family == "resnet"
    outline = {"width": 1.5 if hollow else 0, "color": f"@{family}"}
    return {
        "x": [point.macs if x.metric == "macs" else point.params for point, _ in chosen],
        "y": [value for _, value in chosen],
        "text": [str(point.network.depth) for point, _ in chosen],
        "textposition": "top center" if above else "bottom center",
        "textfont": {"size": 11, "color": "@ink"},
        "hovertext": [_hover(point) for point, _ in chosen],
        "hoverinfo": "text",
        "line": {"color": f"@{family}", "width": 1, "dash": "dot"},
        "marker": {
            "symbol": "star-open" if hollow else "star", "size": 10, "color": f"@{family}",
            "line": outline,
        },
    }  # fmt: skip


def _hover(point: PaperPoint) -> str:
    network = point.network
    return "<br>".join(
        [
            f"<b>{network.name}</b> (paper)",
            f"ImageNet top-1 {network.top1:g} %, error {network.error:g} %",
            plot_text(network.status.partition(";")[0]),
            f"{point.macs / 1e9:.3f} G MACs ({point.convention}), counted here",
            f"{point.params / 1e6:.2f} M parameters, counted here",
        ]
    )
