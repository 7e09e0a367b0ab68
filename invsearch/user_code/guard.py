"""Guard: a call of somebody's code that can end in a result or a reason, and in nothing else.

Evaluators, cost functions, operators, data sets and third parties' providers may leave by any
exception, change the process, or fork. Every place that calls them calls through here.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, TypeVar

from invsearch.errors import DiskError, InvsearchError
from invsearch.user_code.failure import UserCodeError, describe_failure, traceback_of
from invsearch.user_code.process_state import ProcessState

__all__ = ["Guard"]

T = TypeVar("T")

_ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # by which a user ends a command
_CHILD_FAILED = 1  # exit code of a forked child that raised


class Guard:
    """Calls somebody's code and tells its exceptions from ours and the user's.

    After the call the process is as it was before (:mod:`invsearch.user_code.process_state`). A
    signal that has a handler in Python, such as Ctrl-C, is the user's: what the handler raises
    comes out even where the code that was called swallowed it. A child that the code forked and
    that comes back ends there: it would go on as a second driver of the search.

    Args:
        environment: Whether environment variables are put back as well, which takes 20 us.
    """

    def __init__(self, *, environment: bool = True) -> None:
        self._environment = environment
        self._through: BaseException | None = None

    def call(self, action: Callable[[], T]) -> T:
        """Call somebody's code.

        Raises:
            UserCodeError: If it ended in any exception of its own.
            DiskError: If the run's own files could not be written.
            BaseException: What :meth:`ours` or the handler of a signal raised meanwhile.
        """
        limit, process = sys.getrecursionlimit(), os.getpid()
        state = ProcessState(environment=self._environment)
        self._watch_signals()
        caught: BaseException | None = None
        try:
            result = action()
        except BaseException as error:
            caught = error
        sys.setrecursionlimit(limit)  # before any call of a function of ours
        if os.getpid() != process:
            _end_child(caught)
        state.restore()
        if self._through is not None:
            raise self._through
        if isinstance(caught, DiskError):  # the run's disk, not the trial, which is tried again
            raise caught
        if caught is not None:
            ours = caught if isinstance(caught, InvsearchError) else None
            traceback = "" if ours else traceback_of(caught)  # ours say it all in their message
            raise UserCodeError(describe_failure(caught), traceback) from ours
        return result

    def ours(self, action: Callable[[], T]) -> T:
        """Call our own code from within the call: what it raises comes out of the call as it is."""
        try:
            return action()
        except BaseException as error:
            self._through = error
            raise

    def _watch_signals(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        for number in _ENDINGS:
            handler = signal.getsignal(number)
            if callable(handler):
                signal.signal(number, self._watched(handler))

    def _watched(self, handler: Callable[[int, FrameType | None], Any]) -> Callable[..., Any]:
        return lambda number, frame: self.ours(lambda: handler(number, frame))


def _end_child(caught: BaseException | None) -> None:
    """End a forked child as Python would have ended it."""
    code: object = 0 if caught is None else _CHILD_FAILED
    if isinstance(caught, SystemExit):
        code = 0 if caught.code is None else caught.code
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code & 0xFF if isinstance(code, int) else _CHILD_FAILED)
