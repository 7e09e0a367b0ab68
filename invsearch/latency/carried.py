"""A latency table that was measured on another machine and brought along as a file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from invsearch.errors import InputError
from invsearch.latency.differences import differences
from invsearch.latency.parts import Part
from invsearch.latency.table import LatencyTable

__all__ = ["check_carried", "read_table"]

_NAMED = 3  # of the blocks that are missing: enough to see what kind they are of


def read_table(path: Path) -> LatencyTable:
    """Read a table's file.

    Raises:
        InputError: If there is none, or it is none of this version.
    """
    try:
        return LatencyTable.from_json(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
    except ValueError as error:
        reason = "is no JSON" if isinstance(error, json.JSONDecodeError) else str(error)
        raise InputError(
            f"{path} {reason}: measure it anew with invsearch measure --table SPACE -o {path.name}"
        ) from error


def check_carried(
    table: LatencyTable, label: str, conditions: Mapping[str, Any], parts: Mapping[str, Part]
) -> None:
    """Check that a table answers for this target and for every network of the space.

    Args:
        table: The table.
        label: How the space file names it.
        conditions: What the target asks for; see :meth:`.Target.conditions`.
        parts: The distinct parts of the space's networks, by name.

    Raises:
        InputError: If it was measured otherwise, or lacks some of the parts.
    """
    asked = {key: table.under.get(key) for key in conditions}
    changed = differences(asked, conditions)
    if changed:
        raise InputError(f"{label} was measured under other conditions ({changed})")
    missing = sorted(set(parts) - set(table.entries))
    if missing:
        named = "; ".join(missing[:_NAMED]) + ("; ..." if len(missing) > _NAMED else "")
        raise InputError(
            f"{label} lacks {len(missing)} of the {len(parts)} distinct blocks of this space"
            f" ({named}): measure it on the device with invsearch measure --table SPACE -o FILE"
        )
