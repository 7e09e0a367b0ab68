"""Writing that survives a crash: whole files atomically, lines durably, JSON without NaN."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from invsearch.atomic import sync_folder, write_atomic

__all__ = ["append_lines", "dump_json", "write_atomic"]


def _finite(value: Any) -> Any:
    """Return the value with NaN and infinities replaced by None, at any depth."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    if hasattr(value, "tolist"):
        return _finite(value.tolist())
    return value


def dump_json(data: Any, *, indent: int | None = None) -> str:
    """Serialise plain data as strict JSON.

    Args:
        data: Mappings, sequences, scalars and NumPy or torch values of them.
        indent: Spaces per level; None puts everything on one line.

    Returns:
        The text; NaN and infinities, which JSON does not know, become ``null``.
    """
    return json.dumps(_finite(data), allow_nan=False, ensure_ascii=False, indent=indent)


def append_lines(path: Path, *lines: str) -> None:
    """Append lines in a single write and wait until they are on the disk.

    Args:
        path: The file, created when missing.
        *lines: The lines without their ends; none may contain one.
    """
    if any("\n" in line for line in lines):
        raise ValueError("a line to append contains a line end")
    created = not path.exists()
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        data = memoryview("".join(f"{line}\n" for line in lines).encode())
        while data:
            data = data[os.write(descriptor, data) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if created:
        sync_folder(path.parent)
