"""One thread for the linear algebra of a proposal."""

from __future__ import annotations

import importlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

__all__ = ["one_thread"]

_turn = threading.RLock()


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep NumPy and SciPy to one thread meanwhile; who else wants that waits for its turn.

    The matrices are small: more threads take several times the CPU from the trials that run beside
    the search and save little, and how many there are would decide the last digits. The limit is
    the process's: of two that overlap, the second would restore what the first had set.
    """
    with _turn, _controller().limit(limits=1, user_api="blas"):
        yield


def _new_turn() -> None:
    global _turn  # a forked child has none of the threads that may hold its parent's
    _turn = threading.RLock()


os.register_at_fork(after_in_child=_new_turn)


@cache
def _controller() -> Any:
    return importlib.import_module("threadpoolctl").ThreadpoolController()
