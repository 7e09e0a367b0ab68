"""A lock on a run folder that the operating system gives back when its holder dies."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from invsearch.errors import DiskError, InputError

__all__ = ["hold"]

_held: set[int] = set()
"""Descriptors of the locks that this process holds."""


def _let_go() -> None:
    """Close the locks' descriptors in a forked child.

    It shares them with its parent: a lock of ``flock`` lasts until the last of them is closed, so a
    child that an evaluator left behind would hold the folder of a search that is long dead.
    """
    while _held:
        os.close(_held.pop())


os.register_at_fork(after_in_child=_let_go)


def _holder(descriptor: int) -> str:
    text = os.pread(descriptor, 200, 0).decode(errors="replace").strip()
    return text or "another process"


_LOCKLESS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)
"""What file systems say that know no locks: some mounts of networks."""


def _acquire(descriptor: int, path: Path, elsewhere: bool, needed: bool) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            choose = ", or choose another folder with --out" if elsewhere else ""
            raise InputError(
                f"{path.parent} is in use by {_holder(descriptor)}: wait until it ends{choose}"
            ) from None
        if error.errno in _LOCKLESS and not needed:
            return
        choose = "; choose a folder on a local disk with --out" if elsewhere else ""
        raise InputError(f"{path.parent} cannot be locked: {error.strerror}{choose}") from None


def _sign(descriptor: int) -> None:
    """Say who holds the lock; on a full disk nobody can, and the lock holds all the same."""
    with contextlib.suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)


@contextlib.contextmanager
def hold(path: Path, *, elsewhere: bool = True, needed: bool = True) -> Iterator[None]:
    """Hold an exclusive lock on a file for the length of a ``with`` block.

    Args:
        path: The lock file; made when missing and left in place, since removing it would let two
            processes lock two files of one name.
        elsewhere: Whether another folder would do, so that a refusal should say so.
        needed: Whether a file system that has no locks is refused.

    Raises:
        InputError: If another process holds it; it names that process's id.
        DiskError: If the folder or the file cannot be made.
    """
    choose = "choose another folder with --out" if elsewhere else ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise DiskError.of(error, path.parent, "written", choose) from None
    _held.add(descriptor)
    try:
        _acquire(descriptor, path, elsewhere, needed)
        _sign(descriptor)
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                if descriptor in _held:
                    os.ftruncate(descriptor, 0)
    finally:
        if descriptor in _held:  # not in a forked child
            _held.remove(descriptor)
            os.close(descriptor)
