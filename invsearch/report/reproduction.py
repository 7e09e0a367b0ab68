"""The paper's tables with verdicts, from plain data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from invsearch.report.blocks import Cell, Grid
from invsearch.report.text import joined
from invsearch.value import fixed, signed, significant

__all__ = ["PaperTable", "paper_tables", "reproduction_data"]

_MINUS = "\u2212"
_PRINTED = 6  # digits: more than the paper prints of any number, so what it prints is kept
_TONES = {"equal": "good", "within": "good", "differs": "bad"}
_VERDICTS = {
    "equal": "equal",
    "within": "within",
    "differs": "differs",
    "not_judged": "not judged",
}


@dataclass(frozen=True)
class PaperTable:
    """One of the paper's tables, reproduced.

    Attributes:
        name: Its name.
        outcome: How many of its judged numbers were reproduced, in words.
        good: Whether none differs in a way that is not known.
        grid: Per number its row, quantity, published and own value, difference, tolerance,
            verdict and a remark.
    """

    name: str
    outcome: str
    good: bool
    grid: Grid


@lru_cache(maxsize=1)
def reproduction_data() -> Mapping[str, Any]:
    """Reproduce what can be counted of the paper; a few seconds, once a process."""
    from invsearch.paper.section import reproduction_section_data

    return reproduction_section_data()


def paper_tables(data: Mapping[str, Any]) -> list[PaperTable]:
    """Return the tables of :func:`invsearch.paper.section.reproduction_section_data`."""
    return [_table(table["name"], table["lines"]) for table in data.get("tables", ())]


def _table(name: str, rows: Sequence[Mapping[str, Any]]) -> PaperTable:
    counts = Counter[str](_verdict(row) for row in rows)
    unjudged = counts.pop("not judged", 0)
    judged = sum(counts.values())
    passed = counts["equal"] + counts["within"]
    parts = [f"{passed} of {judged} judged numbers reproduced"] if judged else []
    parts += [f"{counts[word]} {word}" for word in ("differs", "known to differ") if counts[word]]
    parts += [f"{unjudged} without a published number"] if unjudged else []
    grid = Grid(name, _HEADS, [_line(row) for row in rows])
    return PaperTable(name, joined(parts), not counts["differs"], grid)


def _verdict(row: Mapping[str, Any]) -> str:
    if row["verdict"] == "differs" and row.get("known"):
        return "known to differ"
    return _VERDICTS.get(row["verdict"], str(row["verdict"]))


_HEADS = (
    ("network", "name"), ("quantity", "text"), ("published", "number"), ("ours", "number"),
    ("fvcore", "number"), ("difference", "number"), ("tolerance", "number"),
    ("verdict", "text"), ("source or remark", "remark"),
)  # fmt: skip


def _line(row: Mapping[str, Any]) -> list[str | Cell]:
    judged, verdict = row["verdict"] != "not_judged", _verdict(row)
    return [
        row["row"],
        row.get("unit") or row["quantity"],
        significant(row["published"], _PRINTED),
        fixed(row["reproduced"]),
        fixed(row.get("fvcore")),
        _signed(row["difference_percent"]) if judged else "",
        f"{row['tolerance_percent']:.2f} %" if judged else "",
        Cell(verdict, strong=verdict == "differs", tone=_TONES.get(verdict, "")),
        row.get("known") or row["status"],
    ]


def _signed(percent: float) -> str:
    """Return a difference with its sign, a minus being one; none for zero."""
    return f"{signed(percent)} %".replace("-", _MINUS)
