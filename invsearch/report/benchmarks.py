"""The operators' benchmarks, from what ``invsearch bench --json`` printed into ``results/``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from invsearch.report.figure import Figure, Trace, heading
from invsearch.report.grid import Grid
from invsearch.report.text import counted_noun, display, plot_text, span
from invsearch.runs.load import RESULTS
from invsearch.value import rounded, significant

__all__ = ["Benchmark", "find_benchmarks", "read_benchmark"]

_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "pentagon", "hexagon", "cross", "star")
_COLOURS = ("run0", "run1", "run2", "run3", "run4", "run5")
_HEADS = {
    "case": ("case", "name"),
    "candidate": ("candidate", "text"),
    "latency": ("ms (95 % interval)", "number"),
    "rate": ("GFLOP/s", "number"),
    "part": ("of the roofline", "number"),
}
_MACHINE = ("cpu_model", "cpu_capability", "gpu")


@dataclass(frozen=True)
class Benchmark:
    """One session of measurements.

    Attributes:
        name: The file's name.
        machine: Where and how it was measured, in a line.
        roofline: Its points under the machine's ceilings; None where nothing was counted.
        rows: Per case and candidate ``case``, ``candidate``, ``latency``, ``rate`` and ``part``.
    """

    name: str
    machine: str
    roofline: Figure | None
    rows: list[dict[str, str]]

    @property
    def grid(self) -> Grid:
        """The rows as a table of the page."""
        cells = [[row[key] for key in _HEADS] for row in self.rows]
        return Grid("Measurements", list(_HEADS.values()), cells)


def find_benchmarks(folder: Path = RESULTS) -> list[Benchmark]:
    """Return the benchmarks among the JSON files of a folder; others are passed over."""
    found = [read_benchmark(path) for path in sorted(folder.glob("*.json"))]
    return [benchmark for benchmark in found if benchmark is not None]


def read_benchmark(path: Path) -> Benchmark | None:
    """Read one file; None where it is no benchmark, or of a version that is not understood."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(document, dict) or document.get("kind") != "bench":
            return None
        return _benchmark(path.stem, document)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _benchmark(name: str, document: Mapping[str, Any]) -> Benchmark:
    from invsearch.bench.figure import bars, ceiling, roofline_points

    points = roofline_points(document)
    rates = {(point["case"], point["candidate"]): point for point in points}
    rows = [_row(bar, rates.get((bar["case"], bar["candidate"]))) for bar in bars(document)]
    figure = _roofline(points, ceiling(document)) if points else None
    return Benchmark(name, _machine(document), figure, rows)


def _machine(document: Mapping[str, Any]) -> str:
    around, settings = document["environment"], document["settings"]
    facts = [str(around[key]) for key in _MACHINE if around.get(key)]
    facts += [f"device {settings['device']}", counted_noun(settings["threads"], "thread")]
    return ", ".join([*facts, f"{settings['cache']} cache", f"torch {around['torch']}"])


def _row(bar: Mapping[str, Any], rates: Mapping[str, Any] | None) -> dict[str, str]:
    value = display("latency_ms", bar["latency_ms"], known=False)
    ends = span("latency_ms", bar["low"], bar["high"], known=False)
    return {
        "case": bar["case"],
        "candidate": bar["candidate"],
        "latency": f"{value} ({ends})",
        "rate": significant(rates["gflops"], 3) if rates else "",
        "part": f"{rates['roofline']:.0%}" if rates else "",
    }


def _roofline(points: Sequence[Mapping[str, Any]], roof: Sequence[tuple[float, float]]) -> Figure:
    figure = Figure(title="Roofline of the operators", height=480)
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for point in points:
        groups.setdefault(f"{point['case'].split('/')[0]}, {point['candidate']}", []).append(point)
    for place, (name, group) in enumerate(groups.items()):
        symbol, colour = _SYMBOLS[place % len(_SYMBOLS)], _COLOURS[place % len(_COLOURS)]
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
