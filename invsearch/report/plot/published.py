"""The paper's two figures redrawn, from plain data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from invsearch.report.plot.figure import Figure, Trace, heading
from invsearch.report.text import joined, plot_text
from invsearch.value import rounded

__all__ = ["paper_figures"]

_STYLES = {
    "rednet": ("star", "rednet"),
    "resnet": ("circle", "resnet"),
}
_OTHERS = (
    ("square", "run0"), ("diamond", "run2"), ("triangle-up", "run1"),
    ("triangle-down", "run5"), ("pentagon", "muted"), ("hexagon", "muted"),
)  # fmt: skip


def paper_figures(data: Mapping[str, Any]) -> list[Figure]:
    """Return the paper's accuracy-against-cost figures."""
    return [_figure(figure) for figure in data.get("figures", ())]


def _figure(data: Mapping[str, Any]) -> Figure:
    figure = Figure(title=data["title"])
    others = iter(_OTHERS * 4)
    for series in data["series"]:
        symbol, colour = _STYLES.get(series["family"]) or next(others)
        figure.add(series["name"], symbol, colour, _trace(series, symbol, colour))
    figure.layout = {
        "xaxis": {"title": {"text": plot_text(data["x_label"])}, "automargin": True},
        "yaxis": {"automargin": True},
        "annotations": [heading(plot_text(data["y_label"]), "y domain")],
    }
    sources: dict[str, list[str]] = {}
    for series in data["series"]:
        sources.setdefault(series["source"], []).append(series["name"])
    parts = [f"{joined(names)}: {source}" for source, names in sources.items()]
    figure.caption = f"{'; '.join(parts)}."
    return figure


def _trace(series: Mapping[str, Any], symbol: str, colour: str) -> Trace:
    own = series["family"] in _STYLES
    points = [point for point in series["points"] if point["x"] is not None]
    return {
        "mode": "lines+markers+text" if own else "lines+markers",
        "x": [rounded(point["x"]) for point in points],
        "y": [rounded(point["y"]) for point in points],
        "text": [plot_text(str(point["label"]).rpartition("-")[2]) for point in points],
        "textposition": "top center" if series["family"] == "rednet" else "bottom center",
        "textfont": {"size": 11, "color": "@ink"},
        "hoverinfo": "text",
        "hovertext": [
            f"<b>{plot_text(point['label'])}</b><br>top-1 {point['y']:g} %<br>"
            f"{plot_text(str(point['status']))}"
            for point in points
        ],
        "line": {
            "color": f"@{colour}", "width": 2 if own else 1, "dash": "solid" if own else "dot",
        },
        "marker": {"symbol": symbol, "size": 10 if own else 8, "color": f"@{colour}"},
    }  # fmt: skip
