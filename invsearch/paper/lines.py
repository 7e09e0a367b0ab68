"""Rows side by side: one line a number, a column a convention."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from invsearch.paper.row import LIKE_FOR_LIKE, Row, Table

__all__ = ["UNITS", "Line", "lines"]

UNITS = {
    "params_m": "params (M)",
    "params_m_trainable": "trainable params (M)",
    "macs_g": "MACs (G)",
    "macs_saving_percent": "MACs saved (%)",
    "macs_percent_of_baseline": "MACs of the baseline (%)",
    "latency_ms": "latency (ms)",
    "latency_ratio": "latency, RedNet : ResNet",
}
"""What a quantity is called where it is shown."""


@dataclass(frozen=True)
class Line:
    """One number of the paper with ours by every convention.

    Attributes:
        main: The row that is judged, or the only one.
        fvcore: Ours by the convention ``fvcore``.
        like_for_like: Ours by the paper's convention, the same for every row of the table.
    """

    main: Row
    fvcore: float | None = None
    like_for_like: float | None = None

    @property
    def table(self) -> Table:
        """The table that it belongs to."""
        return self.main.table


def lines(rows: Iterable[Row]) -> list[Line]:
    """Put the rows of one number into one line, in the order in which numbers first occur."""
    grouped: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        grouped.setdefault((row.table, row.row, row.quantity), []).append(row)
    return [_line(group) for group in grouped.values()]


def _line(group: Sequence[Row]) -> Line:
    by_convention = {row.convention: row.reproduced for row in group}
    return Line(group[0], by_convention.get("fvcore"), by_convention.get(LIKE_FOR_LIKE))
