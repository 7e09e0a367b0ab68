"""SIGTERM, which schedulers and containers send, ends a command as Ctrl-C does."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

__all__ = ["ended_by", "sigterm_as_interrupt", "tell_sigterm"]

_INTERRUPTED, _TERMINATED = 128 + signal.SIGINT, 128 + signal.SIGTERM
_received: list[int] = []


def tell_sigterm() -> None:
    """Take SIGTERM as SIGINT again, after a library has put in a handler of its own.

    Nothing happens outside the main thread, or where nobody asked for it
    (:func:`sigterm_as_interrupt`): a program that imports invsearch has signals of its own.
    """
    if threading.current_thread() is threading.main_thread() and _asked_for:
        signal.signal(signal.SIGTERM, _interrupt)


@contextlib.contextmanager
def sigterm_as_interrupt() -> Iterator[None]:
    """Take SIGTERM as SIGINT for the length of a ``with`` block."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    _received.clear()
    _asked_for.append(True)
    tell_sigterm()
    try:
        yield
    finally:
        _asked_for.pop()
        signal.signal(signal.SIGTERM, before)


def ended_by() -> tuple[str, int]:
    """What ended an interrupted command, in a word, and its exit code: 143 or 130."""
    return ("terminated", _TERMINATED) if _received else ("interrupted", _INTERRUPTED)


_asked_for: list[bool] = []


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Whoever handles SIGINT now - Python, or Ray Tune during a search - handles this too.

    A shell's script starts a job in the background with SIGINT ignored; SIGTERM ends it still.
    """
    _received.append(number)
    if not callable(signal.getsignal(signal.SIGINT)):
        raise KeyboardInterrupt
    signal.raise_signal(signal.SIGINT)
