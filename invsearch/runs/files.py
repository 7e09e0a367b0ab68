"""Writing that survives a crash: whole files atomically, lines durably, JSON without NaN."""

from __future__ import annotations

import contextlib
import json
import math
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

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


def _sync_folder(folder: Path) -> None:
    """Make a folder's entries durable where the file system allows it."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_atomic(path: Path, text: str) -> None:
    """Replace a whole file so that a reader or a crash sees the old text or the new, never half.

    Args:
        path: The file; its folder must exist.
        text: Its new content, written as UTF-8 with the line ends it has.
    """
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    try:
        os.fchmod(descriptor, _new_file_mode())
        with os.fdopen(descriptor, "wb") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _new_file_mode() -> int:
    """Return the mode a plainly opened new file would get (mkstemp gives 0600)."""
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


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
        _sync_folder(path.parent)
