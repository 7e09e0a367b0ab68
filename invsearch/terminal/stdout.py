"""What a command leaves to others of this process: standard output for JSON alone, and the end."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import NoReturn, TextIO

from invsearch.errors import DiskError

__all__ = ["leave", "print_json", "reserve_stdout"]

_GRACE_S = 5.0  # for threads and processes that somebody's code left behind to end by themselves


_reserved: list[TextIO] = []
"""Where standard output went before it was kept for JSON."""


def reserve_stdout() -> Callable[[], None]:
    """Send what anything prints, by whatever way, to standard error from now on.

    A user's functions and the processes that they start print too; a program that reads our JSON
    must not find that in it.

    Returns:
        What puts all back.
    """
    before = sys.stdout
    kept = _moved_descriptor(before)
    output = before
    if kept is not None:
        output = os.fdopen(os.dup(kept), "w", encoding=before.encoding, errors=before.errors)
    _reserved.append(output)
    sys.stdout = sys.stderr

    def restore() -> None:
        _reserved.remove(output)
        sys.stdout = before
        if kept is not None:
            output.close()
            os.dup2(kept, 1)
            os.close(kept)

    return restore


def print_json(document: str) -> None:
    """Print to standard output, reserved or not.

    Raises:
        DiskError: If it cannot be written; a reader that has left is none.
    """
    try:
        print(document, file=_reserved[-1] if _reserved else sys.stdout, flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise DiskError.of(error, "standard output", "written") from None


def _moved_descriptor(stream: TextIO) -> int | None:
    """Let descriptor 1 be standard error; return the former one, None where it is not behind."""
    try:
        if stream.fileno() != 1:
            return None
        stream.flush()
        kept = os.dup(1)
        os.dup2(2, 1)
    except (OSError, ValueError, AttributeError):
        return None
    return kept


def leave(code: int) -> NoReturn:
    """Exit, in good time also where somebody's code left something behind that never ends."""
    threads = [one for one in threading.enumerate() if not one.daemon]
    if len(threads) > 1 or multiprocessing.active_children():
        threading.Thread(target=_end, args=(code,), daemon=True).start()
    sys.exit(code)


def _end(code: int) -> None:
    threading.main_thread().join()  # Python waits for the others after it
    time.sleep(_GRACE_S)
    with contextlib.suppress(Exception):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)
