"""One thread for the linear algebra of a proposal."""

from __future__ import annotations

import importlib
from contextlib import AbstractContextManager
from functools import cache
from typing import Any

__all__ = ["one_thread"]


def one_thread() -> AbstractContextManager[Any]:
    """Keep NumPy and SciPy to one thread meanwhile.

    The matrices are small: more threads take several times the CPU from the trials that run beside
    the search and save little, and how many there are would decide the last digits.
    """
    controller: AbstractContextManager[Any] = _controller().limit(limits=1, user_api="blas")
    return controller


@cache
def _controller() -> Any:
    return importlib.import_module("threadpoolctl").ThreadpoolController()
