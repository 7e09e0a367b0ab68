"""The paper's networks as points of a figure: published accuracy against our own counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from invsearch.paper import PublishedNetwork, networks
from invsearch.report.figure import COUNTED, Axis, Figure, Trace, heading
from invsearch.report.text import plot_text
from invsearch.runs import RunData, Trial
from invsearch.runs.front import comparable

__all__ = ["PaperPoint", "add_paper", "convention_of", "paper_points", "papers_for"]


@dataclass(frozen=True)
class PaperPoint:
    """A published network.

    Attributes:
        network: What the paper says.
        params: Parameters counted here.
        macs: Multiply-adds at 224 x 224 counted here.
        convention: The convention of the MACs.
    """

    network: PublishedNetwork
    params: float
    macs: float
    convention: str


def convention_of(trials: Sequence[Trial]) -> str:
    """Return the convention by which a run's trials were counted; the default is ``fvcore``."""
    for trial in trials:
        metric = trial.metrics.get("macs")
        if metric and metric.detail.get("convention"):
            return str(metric.detail["convention"])
    return "fvcore"


def paper_points(convention: str = "fvcore") -> list[PaperPoint]:
    """Count the paper's ten networks.

    Args:
        convention: ``fvcore`` or ``paper``.

    Returns:
        One point per network, at 224 x 224 and 1,000 classes.
    """
    return [_point(network, convention) for network in networks()]


def papers_for(run: RunData, paper: Sequence[PaperPoint] | None) -> Sequence[PaperPoint]:
    """Return what of the paper belongs into a run's figures.

    Args:
        run: The run.
        paper: The networks as counted; counted here, by the run's convention, when None.
    """
    if paper is not None:
        return paper
    wanted = run.outline.model and {"macs", "params"} & set(run.objectives)
    return paper_points(convention_of(run.trials)) if wanted else ()


def _point(network: PublishedNetwork, convention: str) -> PaperPoint:
    from invsearch.cost import count
    from invsearch.models.resolve import network_spec

    spec = network_spec({"family": network.family}, {"depth": network.depth})
    counts = count(spec, resolution=224, convention="paper" if convention == "paper" else "fvcore")
    return PaperPoint(network, counts.params, counts.macs, counts.convention)


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
