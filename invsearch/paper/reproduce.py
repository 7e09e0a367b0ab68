"""Every cost figure of the paper, reproduced: the engine behind ``invsearch reproduce``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from invsearch.errors import InputError, nearest
from invsearch.paper.ablation import ablation
from invsearch.paper.counted import abstract, classification, detection, segmentation
from invsearch.paper.row import Row
from invsearch.paper.runtime import runtime

__all__ = ["TABLES", "failures", "reproduce", "to_json"]

_TABLES: Mapping[str, Sequence[Callable[[], list[Row]]]] = {
    "classification": (classification,),
    "detection": (detection,),
    "segmentation": (segmentation,),
    "abstract": (abstract,),
    "ablation": (ablation,),
    "runtime": (runtime,),
}
TABLES: tuple[str, ...] = (*_TABLES, "all")
"""What :func:`reproduce` takes."""


def reproduce(table: str = "all") -> list[Row]:
    """Rebuild the networks of a table of the paper and count (or time) them.

    Args:
        table: One of :data:`TABLES`.

    Returns:
        The rows in the paper's order: each network's judged number first, then the same by the
        other conventions.

    Raises:
        InputError: If there is no such table.
    """
    if table not in TABLES:
        raise InputError(
            f"table {table!r} is unknown: choose from {', '.join(TABLES)}{nearest(table, TABLES)}"
        )
    chosen = _TABLES if table == "all" else {table: _TABLES[table]}
    return [row for makers in chosen.values() for make in makers for row in make()]


def failures(rows: Sequence[Row]) -> list[Row]:
    """The rows that differ from the paper, and not in a way that is known."""
    return [row for row in rows if row.failed]


def to_json(rows: Sequence[Row]) -> dict[str, Any]:
    """The rows as ``reproduce --json`` prints them, and the reasons of known differences."""
    known = [
        {"table": row.table, "row": row.row, "quantity": row.quantity, "reason": row.known}
        for row in rows
        if row.known
    ]
    return {"rows": [row.to_json() for row in rows], "known_differences": known}
