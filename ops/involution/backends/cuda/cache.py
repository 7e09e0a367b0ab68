"""Compiled kernels on disk, in files that may be torn, damaged or written by several at once.

A file is written under a temporary name, flushed to the disk and renamed, so whoever opens it under
its own name sees all of it or nothing, and of two writers the last wins with the same content. Its
first bytes are a checksum of the rest: what a failing disk or a crash of the machine left is not
loaded but compiled again. A folder that cannot be read or written only costs that compilation.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

__all__ = ["folder", "key", "load", "store"]

VARIABLE = "INVSEARCH_CACHE"
MAGIC = b"involution cubin 1\n"
ABANDONED_SECONDS = 3600.0  # no kernel compiles for longer than seconds

_CHECKSUM_BYTES = hashlib.sha256().digest_size


def folder() -> Path:
    """Where compiled kernels are kept: `$INVSEARCH_CACHE`, else the user's cache folder.

    The latter is `$XDG_CACHE_HOME/invsearch`, by default `~/.cache/invsearch` (XDG Base Directory
    Specification). The subfolder `cuda` can be deleted at any time.

    Raises:
        RuntimeError: If the user has no home folder.
    """
    named = os.environ.get(VARIABLE)
    if named:
        return Path(named) / "cuda"
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (base if base.is_absolute() else Path.home() / ".cache") / "invsearch" / "cuda"


def key(parts: Iterable[str]) -> str:
    """A name for the result of compiling these parts; different parts get different names."""
    digest = hashlib.sha256()
    for part in parts:
        text = part.encode()
        digest.update(b"%d:" % len(text))
        digest.update(text)
    return digest.hexdigest()


def load(name: str) -> bytes | None:
    """What was stored under `name`, or None if nothing was or it is damaged."""
    try:
        content = _path(name).read_bytes()
    except (OSError, RuntimeError):
        return None
    start = len(MAGIC) + _CHECKSUM_BYTES
    head, binary = content[:start], content[start:]
    return binary if head == MAGIC + hashlib.sha256(binary).digest() else None


def store(name: str, binary: bytes) -> bool:
    """Keeps `binary` under `name`; False if the folder does not let it."""
    try:
        path = _path(name)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _remove_abandoned(path.parent)
        _write(path, MAGIC + hashlib.sha256(binary).digest() + binary)
    except (OSError, RuntimeError):
        return False
    return True


def _path(name: str) -> Path:
    return folder() / f"{name}.cubin"


def _write(path: Path, content: bytes) -> None:
    descriptor, temporary = tempfile.mkstemp(".tmp", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise


def _remove_abandoned(directory: Path) -> None:
    """Removes temporary files of writers that were killed."""
    for path in directory.glob("*.tmp"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > ABANDONED_SECONDS:
                path.unlink()
