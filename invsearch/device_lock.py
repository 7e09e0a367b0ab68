"""The lock on a device of this machine: who measures holds it alone, other work shares it.

A training holds its device's lock shared, and between two steps asks whether somebody waits to
measure; then it gives way until that is done. So a measurement waits for a step and not for an
epoch, and no step falls into it. Two files of ``flock`` do it, which the operating system gives
back when their holder dies: the device's own, and a turnstile before it, which is passed alone. Who
measures stays in the turnstile until the others have given way: nobody who comes later gets in
between, so trainings cannot starve a measurement; and who comes while it measures waits at the
turnstile with the next who measures, so that measurements cannot starve a training.

The files lie in the folder of temporary files, or where ``INVSEARCH_LOCKS`` says: containers that
share a device need one that they share too. Work that takes no lock, of others, is not held up: a
measurement sees it by the load, and is rejected.
"""

from __future__ import annotations

import fcntl
import os
import re
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

from invsearch.errors import InputError, TrialError

__all__ = ["Sharing", "alone", "shared"]

_PATIENCE_S = 1800.0
"""Chosen: the longest time limit of a measurement (:mod:`invsearch.latency.layers`), and far longer
than a step. Who holds a lock longer is a process that was stopped."""

_POLL_S = (1e-3, 2e-2)  # at first, and at most: a fiftieth of a second is no loss to a measurement

_own = threading.local()
"""By device, what this thread shares: a second lock would wait for who waits for the first."""

_open: weakref.WeakSet[Sharing] = weakref.WeakSet()


@contextmanager
def alone(device: str) -> Iterator[int]:
    """Hold a device to measure on it; yields the lock's file descriptor.

    A child process that inherits the descriptor keeps the lock until it has ended too. What this
    thread itself shares of the device rests meanwhile.

    Args:
        device: ``cpu``, ``cuda``, ``cuda:1``, ...

    Raises:
        InputError: If the lock's files cannot be made.
        TrialError: If others hold it for half an hour.
    """
    name = _name(device)
    mine = _shared_here().get(name)
    with mine.resting() if mine else nullcontext():
        try:
            turnstile, lock = _opened(name)
        except OSError as error:
            raise InputError(
                f"the lock on {device}, {error.filename}: {error.strerror}; INVSEARCH_LOCKS names"
                " a folder for it that everyone on this machine may write to"
            ) from error
        try:
            if not _pass(turnstile, lock, fcntl.LOCK_EX):
                raise TrialError(
                    f"{device} is in use by work that has not given way in {_PATIENCE_S:.0f} s: is"
                    " a training on it stopped or paused?"
                )
            yield lock
        finally:
            os.close(turnstile)
            os.close(lock)


@contextmanager
def shared(device: str) -> Iterator[Sharing]:
    """Hold a device's lock as other work may, too, for the length of a ``with`` block.

    It waits while somebody measures there. Where the lock's files cannot be had, or are not given
    back in half an hour, the work is done without: a measurement sees it by the load.

    Args:
        device: ``cpu``, ``cuda``, ``cuda:1``, ...
    """
    name, here = _name(device), _shared_here()
    if name in here:
        yield here[name]
        return
    sharing = here[name] = Sharing(name, device)
    try:
        yield sharing
    finally:
        here.pop(name, None)  # a forked child has none any more
        sharing.close()


class Sharing:
    """A device's lock, held as other work may hold it too.

    Args:
        name: Of the device, in the files' names.
        device: As torch calls it.
    """

    def __init__(self, name: str, device: str) -> None:
        self._device = device
        self._files: tuple[int, int] | None = None
        with suppress(OSError):
            self._files = _opened(name)
        _open.add(self)
        self._take()

    def give_way(self) -> None:
        """Let who waits to measure do it, and wait for the end; between two steps of work."""
        if self._files is not None and self._wanted():
            with self.resting():
                pass

    @contextmanager
    def resting(self) -> Iterator[None]:
        """Give the lock back for the length of a ``with`` block."""
        self._settle()
        if self._files is not None:
            fcntl.flock(self._files[1], fcntl.LOCK_UN)
        try:
            yield
        finally:
            self._take()

    def close(self) -> None:
        """Give it back for good."""
        if self._files is not None:
            self._settle()
        self.forget(unlock=True)

    def forget(self, *, unlock: bool = False) -> None:
        """Close the files: a forked child has those of its parent, which keeps the lock."""
        files, self._files = self._files, None
        for file in files or ():
            if unlock:
                fcntl.flock(file, fcntl.LOCK_UN)
            os.close(file)

    def _take(self) -> None:
        if self._files is None:
            return
        try:
            _pass(*self._files, fcntl.LOCK_SH)
        except OSError:  # a file system without locks
            self.forget()

    def _wanted(self) -> bool:
        """Whether somebody stands in the turnstile: two system calls, a microsecond."""
        assert self._files is not None
        try:
            fcntl.flock(self._files[0], fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        fcntl.flock(self._files[0], fcntl.LOCK_UN)
        return False

    def _settle(self) -> None:
        """A GPU works on what is queued after the step has returned."""
        if self._device.startswith("cuda") and "torch" in sys.modules:
            import torch

            with suppress(RuntimeError):  # what failed on the device is told by who asked for it
                torch.cuda.synchronize(self._device)


def _let_go() -> None:
    for sharing in list(_open):
        sharing.forget()
    _shared_here().clear()


os.register_at_fork(after_in_child=_let_go)


def _shared_here() -> dict[str, Sharing]:
    found: dict[str, Sharing] = _own.__dict__.setdefault("sharing", {})
    return found


def _pass(turnstile: int, lock: int, kind: int) -> bool:
    """Go through the turnstile to the lock; whether it was given in time."""
    until, pause = time.monotonic() + _PATIENCE_S, _POLL_S[0]
    fcntl.flock(turnstile, fcntl.LOCK_EX)
    try:
        while True:
            with suppress(BlockingIOError):
                fcntl.flock(lock, kind | fcntl.LOCK_NB)
                return True
            if time.monotonic() > until:
                return False
            time.sleep(pause)
            pause = min(2 * pause, _POLL_S[1])
    finally:
        fcntl.flock(turnstile, fcntl.LOCK_UN)


def _opened(name: str) -> tuple[int, int]:
    """The turnstile's file and the lock's."""
    folder = Path(os.environ.get("INVSEARCH_LOCKS") or tempfile.gettempdir())
    turnstile = _file(folder / f"invsearch-{name}.turn")
    try:
        return turnstile, _file(folder / f"invsearch-{name}.lock")
    except OSError:
        os.close(turnstile)
        raise


def _file(path: Path) -> int:
    try:
        return os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return os.open(path, os.O_RDONLY | os.O_CREAT, 0o666)


def _name(device: str) -> str:
    """One name for a GPU in every process, however many of the others each of them sees."""
    kind, _, index = device.partition(":")
    if kind == "cuda":
        visible = [one.strip() for one in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")]
        place = int(index or 0)
        device = f"cuda:{visible[place] if place < len(visible) and visible[place] else place}"
    return re.sub(r"\W", "_", device)
