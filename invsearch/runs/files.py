"""Writing that survives a crash: whole files atomically, lines durably, JSON without NaN."""

from __future__ import annotations

import contextlib
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


def append_lines(path: Path, *lines: str, durable: bool = True) -> None:
    """Append lines in a single write: all of them, or none where the writing raises.

    Args:
        path: The file, created when missing.
        *lines: The lines without their ends; none may contain one.
        durable: Whether to wait until they are on the disk, so that a power cut does not lose them;
            a kill of the process does not in any case.
    """
    if any("\n" in line for line in lines):
        raise ValueError("a line to append contains a line end")
    created = not path.exists()
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        _write_whole(descriptor, "".join(f"{line}\n" for line in lines).encode(), durable)
    finally:
        os.close(descriptor)
    if created and durable:
        sync_folder(path.parent)


def _write_whole(descriptor: int, content: bytes, durable: bool) -> None:
    """Write all of ``content``; what a full disk or an interrupt cuts short is taken back."""
    before = os.fstat(descriptor).st_size
    data = memoryview(content)
    try:
        while data:
            data = data[os.write(descriptor, data) :]
        if durable:
            os.fsync(descriptor)
    except BaseException:
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, before)
        raise
