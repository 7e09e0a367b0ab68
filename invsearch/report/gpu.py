"""What the operator reaches on a GPU, from what ``make bench-gpu`` wrote into ``results/``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from invsearch.report.benchmarks import Benchmark
from invsearch.report.blocks import Cell, Grid
from invsearch.report.text import first_line
from invsearch.runs.load import RESULTS
from invsearch.value import significant

__all__ = ["GpuBenchmark", "find_gpu_benchmark"]

_NAME = "On a GPU"
_HEADS = {
    "what": ("what", "name"),
    "value": ("measured (95 % interval)", "number"),
    "at_least": ("at least", "number"),
    "aim": ("aim", "number"),
    "verdict": ("verdict", "text"),
    "reason": ("remark", "remark"),
}
_NOT_MEASURED = "not measured"
_NO_FILE = "no GPU was at hand; `make bench-gpu` measures it"
_TONES = {"aim": "good", "at least": "good", "works": "good", "missed": "bad", "fails": "bad"}


@dataclass(frozen=True)
class GpuBenchmark(Benchmark):
    """What must be reached, and what is; per row the keys of its table's columns."""

    @property
    def grid(self) -> Grid:
        """The rows as a table of the page."""
        cells = [[_cell(key, row[key]) for key in _HEADS] for row in self.rows]
        return Grid("What the operator reaches on a GPU", list(_HEADS.values()), cells)


def find_gpu_benchmark(folder: Path = RESULTS) -> GpuBenchmark:
    """Return the rows of ``bench-gpu.json``; without that file each one, as not measured."""
    try:
        document = json.loads((folder / "bench-gpu.json").read_text(encoding="utf-8"))
        return GpuBenchmark(_NAME, _machine(document), None, [_row(r) for r in document["rows"]])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        from invsearch.bench.gpu.rows import ROWS, GpuFigure

        rows = [_row(GpuFigure(row, None, _NO_FILE).as_dict()) for row in ROWS]
        return GpuBenchmark(_NAME, _NOT_MEASURED, None, rows)


def _machine(document: Mapping[str, Any]) -> str:
    around = document["environment"]
    gpu, copied = around["gpu_details"] or {}, document["copy"]
    facts = [str(around["gpu"]), f"driver {gpu.get('driver')}", f"CUDA {gpu.get('cuda')}"]
    facts += [f"torch {around['torch']}", f"copy bandwidth {copied['value']:.0f} GB/s"]
    wrong = sum(not check["passed"] for check in document["checks"])
    return ", ".join([*facts, *([f"{wrong} results disagree with fp64"] if wrong else [])])


def _row(row: Mapping[str, Any]) -> dict[str, str]:
    unit, value = row["unit"], row["value"]
    ends = "" if unit == "works" else f" ({_between(row['low'], row['high'], unit)})"
    return {
        "what": str(row["what"]),
        "value": "" if value is None else _number(value, unit) + ends,
        "at_least": _goal(row["at_least"], unit),
        "aim": _goal(row["aim"], unit),
        "verdict": str(row["verdict"]),
        "reason": first_line(row["reason"]) if row["reason"] else "",
    }


def _between(low: float | None, high: float | None, unit: str) -> str:
    return f"{_number(low, unit)} to {_number(high, unit)}"


def _goal(value: float | None, unit: str) -> str:
    return "" if value is None else _number(value, unit)


def _number(value: float | None, unit: str) -> str:
    if value is None:
        return "unknown"
    if unit == "works":
        return "yes" if value else "no"
    if unit == "fraction":
        return f"{value:.0%}"
    return f"{significant(value, 3)} s" if unit == "s" else f"{significant(value, 3)}x"


def _cell(key: str, text: str) -> str | Cell:
    return Cell(text, tone=_TONES[text]) if key == "verdict" and text in _TONES else text
