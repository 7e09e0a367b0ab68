"""Files that are whole or absent: a crash or a reader sees the former content or the new one."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from invsearch.errors import DiskError

__all__ = ["is_standard_output", "replacing", "sync_folder", "write_atomic", "write_output"]

_STANDARD_OUTPUT = ("-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")  # Linux's names, and ours
_STEM = 24  # characters of a name that its temporary file keeps: 255 bytes hold no more, for sure


@contextlib.contextmanager
def replacing(path: Path, *, durable: bool = True) -> Iterator[BinaryIO]:
    """Open a file that takes the place of ``path`` when the block ends, and never if it raises.

    Args:
        path: The file; its folder must exist.
        durable: Whether to wait until it is on the disk; without, a power cut may leave it empty.
    """
    stem = path.name[:_STEM]
    descriptor, name = tempfile.mkstemp(prefix=f".{stem}.", suffix=".tmp", dir=path.parent)
    try:
        os.fchmod(descriptor, _new_file_mode())
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    if durable:
        sync_folder(path.parent)


def write_atomic(path: Path, content: str | bytes, *, durable: bool = True) -> None:
    """Replace a whole file.

    Args:
        path: The file; its folder must exist.
        content: Its new content; text is written as UTF-8 with the line ends it has.
        durable: Whether to wait until it is on the disk.
    """
    with replacing(path, durable=durable) as file:
        file.write(_bytes(content))


def write_output(path: Path, content: str | bytes) -> None:
    """Write where a user said, as any tool does with ``-o``.

    A file is replaced as a whole, and keeps its mode; a link is followed, and what it leads to is
    replaced; a pipe or a device is written to; ``-`` is standard output.

    Args:
        path: Where; its folder is made where it is missing.
        content: Text is written as UTF-8.

    Raises:
        DiskError: If it cannot be written.
    """
    if is_standard_output(path):
        _to_standard_output(_bytes(content))
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        target = Path(os.path.realpath(path))
        if target.is_symlink():  # what leads to itself leads nowhere
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        mode = target.stat().st_mode if target.exists() else None
        if mode is not None and not os.access(target, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        if mode is None or stat.S_ISREG(mode):
            write_atomic(target, content)
            if mode is not None:
                target.chmod(stat.S_IMODE(mode))
        else:  # opening a folder is the error that it should be
            with target.open("wb") as file:
                file.write(_bytes(content))
    except OSError as error:
        raise DiskError.of(error, path, "written") from None


def is_standard_output(path: Path) -> bool:
    """Whether ``-o`` names standard output."""
    return str(path) in _STANDARD_OUTPUT


def _to_standard_output(data: bytes) -> None:
    """Write past the text layer, which has an encoding of its own, where there is one."""
    sys.stdout.flush()
    binary = getattr(sys.stdout, "buffer", None)
    if binary is None:
        sys.stdout.write(data.decode())
        return
    try:
        binary.write(data)
        binary.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise DiskError.of(error, "standard output", "written") from None


def _bytes(content: str | bytes) -> bytes:
    return content.encode() if isinstance(content, str) else content


def sync_folder(folder: Path) -> None:
    """Make a folder's entries durable where the file system allows it."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _new_file_mode() -> int:
    """Return the mode a plainly opened new file would get (mkstemp gives 0600)."""
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
