"""The operators under their machine's ceilings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from invsearch.report.plot.figure import Figure, Trace, heading, run_colour
from invsearch.report.text import plot_text
from invsearch.value import rounded, significant

__all__ = ["roofline_figure"]

_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "pentagon", "hexagon", "cross", "star")


def roofline_figure(
    points: Sequence[Mapping[str, Any]], roof: Sequence[tuple[float, float]]
) -> Figure:
    """Draw candidates by the work that each byte brings, under what the machine reaches.

    Args:
        points: As :func:`invsearch.bench.figure.roofline_points` gives them.
        roof: The ceiling's corners: operations a byte, GFLOP/s.
    """
    figure = Figure(title="Roofline of the operators", height=480)
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for point in points:
        groups.setdefault(f"{point['case'].split('/')[0]}, {point['candidate']}", []).append(point)
    for place, (name, group) in enumerate(groups.items()):
        symbol, colour = _SYMBOLS[place % len(_SYMBOLS)], run_colour(place)
        figure.add(name, symbol, colour, _points(group, symbol, colour))
    figure.add("ceiling of this machine", "line", "muted", _ceiling(roof))
    figure.layout = {
        "xaxis": {
            "title": {"text": "operations a byte that must be moved"}, "type": "log",
            "automargin": True, "dtick": 1,
        },
        "yaxis": {"type": "log", "automargin": True, "dtick": 1},
        "annotations": [heading("GFLOP/s, \u2191 better", "y domain")],
    }  # fmt: skip
    figure.caption = (
        "Two operations a multiply-add. Under the slope an operator is bound by memory, under the"
        " flat part by arithmetic; the ceilings were measured in the same session."
    )
    return figure


def _points(group: Sequence[Mapping[str, Any]], symbol: str, colour: str) -> Trace:
    return {
        "mode": "markers",
        "x": [rounded(point["intensity"], 4) for point in group],
        "y": [rounded(point["gflops"], 4) for point in group],
        "marker": {"symbol": symbol, "size": 8, "color": f"@{colour}", "opacity": 0.8},
        "hoverinfo": "text",
        "hovertext": [
            f"<b>{plot_text(point['case'])}</b><br>{plot_text(point['candidate'])}"
            f"<br>{significant(point['gflops'], 3)} GFLOP/s, {point['roofline']:.0%} of the ceiling"
            for point in group
        ],
    }


def _ceiling(roof: Sequence[tuple[float, float]]) -> Trace:
    return {
        "mode": "lines", "x": [rounded(x, 4) for x, _ in roof],
        "y": [rounded(y, 4) for _, y in roof], "hoverinfo": "skip",
        "line": {"color": "@muted", "width": 2},
    }  # fmt: skip
