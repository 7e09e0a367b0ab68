"""The operators' benchmarks, from what ``invsearch bench --json`` printed into ``results/``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from invsearch.report.blocks import Grid
from invsearch.report.plot.figure import Figure
from invsearch.report.plot.roofline import roofline_figure
from invsearch.report.text import counted_noun, display, span
from invsearch.runs.load import RESULTS
from invsearch.value import significant

__all__ = ["Benchmark", "find_benchmarks", "read_benchmark"]

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
    figure = roofline_figure(points, ceiling(document)) if points else None
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
