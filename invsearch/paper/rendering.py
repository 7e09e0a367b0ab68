"""Reproduced tables for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from invsearch.paper.lines import UNITS, Line, lines
from invsearch.paper.reproduce import failures
from invsearch.paper.row import PUBLISHED, Row
from invsearch.value import fixed, signed

__all__ = ["render"]

_STYLES = {"equal": "green", "within": "green", "differs": "red", "not_judged": "dim"}
_SHORT = {"convolution": "conv", "involution": "inv"}
_COUNTED = (
    "published", "status", "ours", "diff %", "tol. %", "verdict", "fvcore", "alike",
)  # fmt: skip
_COLUMNS = {"ablation": ("ours", "fvcore"), "runtime": ("published", "measured", "status")}
_LEGEND = (
    "ours: counted as the published row was; alike: like for like, all rows of a table counted the "
    "same way; fvcore: by trace\nverdict: equal to the printed digit, else within the tolerance: "
    "0.1 %; where the number is not published, 1.2 units of half its last digit"
)


def render(rows: Sequence[Row]) -> RenderableType:
    """The tables, what the statuses say in full, and a line of result."""
    parts: list[RenderableType] = []
    for name in dict.fromkeys(row.table for row in rows):
        own = lines([row for row in rows if row.table == name])
        notes: dict[str, int] = {}
        parts.append(_table(name, own, notes))
        parts += [Text(f"({number}) {status}", "dim") for status, number in notes.items()]
        parts += [Text(f"{ln.main.row}: {ln.main.known}", "yellow") for ln in own if ln.main.known]
        parts.append(Text())
    judged = [row for row in rows if row.verdict != "not_judged"]
    if judged:
        parts += [Text(_LEGEND, "dim"), _result(rows, len(judged))]
    return Group(*parts)


def _table(name: str, own: Sequence[Line], notes: dict[str, int]) -> Table:
    columns = _COLUMNS.get(name, _COUNTED)
    table = Table(title=Text(name, "bold"), title_justify="left", box=SIMPLE_HEAD, padding=(0, 1))
    table.add_column("network", no_wrap=True)
    for column in columns:
        text = column in ("status", "verdict")
        wrap = name == "runtime" and column == "status"
        table.add_column(column, justify="left" if text else "right", no_wrap=not wrap)
    previous = ""
    for line in own:
        key = line.main.row
        if key != previous:
            table.add_row(Text(" / ".join(_SHORT.get(part, part) for part in key.split(" / "))))
        previous = key
        unit = UNITS.get(line.main.quantity, line.main.quantity)
        cells = _cells(line, notes)
        if name == "runtime":
            cells["status"] = Text(line.main.status)
        table.add_row(Text(f"  {unit}"), *(cells[column] for column in columns))
    return table


def _cells(line: Line, notes: dict[str, int]) -> dict[str, Text]:
    main = line.main
    verdict = "differs (known)" if main.known else main.verdict.replace("not_judged", "-")
    judged = main.tolerance_percent is not None
    return {
        "published": Text(main.printed or fixed(main.published)),
        "status": Text(_status(main.status, notes)),
        "ours": Text(fixed(main.reproduced)),
        "measured": Text(fixed(main.reproduced)),
        "diff %": Text(signed(main.difference_percent, 3) if judged else ""),
        "tol. %": Text(f"{main.tolerance_percent:.3f}" if judged else ""),
        "verdict": Text(verdict, "yellow" if main.known else _STYLES[main.verdict]),
        "fvcore": Text(fixed(line.fvcore)),
        "alike": Text(fixed(line.like_for_like)),
    }


def _status(status: str, notes: dict[str, int]) -> str:
    """A status in a word, with the number of the note that says it in full."""
    if status == PUBLISHED:
        return status
    if status.startswith("no "):
        return ""
    word = status
    for end in (" from ", " the ", " by ", " on ", ","):
        word = word.partition(end)[0]
    return f"{word} ({notes.setdefault(status, len(notes) + 1)})"


def _result(rows: Sequence[Row], judged: int) -> Text:
    failed, known = failures(rows), sum(bool(row.known) for row in rows)
    passed = f"{judged - len(failed) - known} of {judged} judged numbers reproduced"
    passed += f", {known} known to differ" if known else ""
    if not failed:
        return Text(passed, "green")
    names = "; ".join(f"{row.row}, {row.quantity}" for row in failed)
    return Text(f"{passed}, {len(failed)} FAILED: {names}", "red")
