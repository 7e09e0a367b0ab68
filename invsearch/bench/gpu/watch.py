"""An end in time: on SIGTERM, and when the budget is spent, whatever the main thread waits for."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator

__all__ = ["watched"]

_OVER = b"\0"

LastWords = Callable[[str], object]


@contextlib.contextmanager
def watched(seconds: float, last_words: LastWords) -> Iterator[None]:
    """Within this, SIGTERM or so many seconds end the process with exit code 1.

    Python runs a signal's handler in the main thread, when that returns to Python: not while it
    waits for a GPU that no longer answers, nor soon while it compiles. But the C part of a handler
    writes to a file descriptor at once, at which a thread waits here. For the main thread only.

    Args:
        seconds: From now on; infinity for no limit.
        last_words: Called, in another thread, with the reason, before the process ends.
    """
    receiver, sender = socket.socketpair()
    sender.setblocking(False)
    former_descriptor = signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
    former_handler = signal.signal(signal.SIGTERM, lambda number, frame: None)
    deadline = time.monotonic() + min(seconds, threading.TIMEOUT_MAX)
    thread = threading.Thread(target=_watch, args=(receiver, deadline, last_words), daemon=True)
    thread.start()
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former_handler)
        signal.set_wakeup_fd(former_descriptor)
        sender.send(_OVER)
        thread.join()
        receiver.close()
        sender.close()


def _watch(receiver: socket.socket, deadline: float, last_words: LastWords) -> None:
    reason = _reason(receiver, deadline)
    if reason is None:
        return
    try:
        last_words(reason)
    finally:
        os._exit(1)  # the main thread may never come back to end the process


def _reason(receiver: socket.socket, deadline: float) -> str | None:
    """Waits for why the process is to end; None if what is watched is over."""
    while True:
        receiver.settimeout(max(deadline - time.monotonic(), 1e-3))
        try:
            heard = receiver.recv(1)
        except TimeoutError:
            return "the time was up"
        if heard == bytes([signal.SIGTERM]):
            return "stopped by SIGTERM"
        if heard == _OVER:
            return None
