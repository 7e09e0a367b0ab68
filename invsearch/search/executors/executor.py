"""Executor: where the evaluations of a search run."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from invsearch.problem.problem import Problem
    from invsearch.search.session import Session

__all__ = ["Executor", "Workers"]


@dataclass(frozen=True)
class Workers:
    """What evaluates, ready to.

    Attributes:
        capacity: How many evaluations run at a time.
        run: Takes proposals from a session and hands their outcomes back until it is finished. An
            evaluation that raises is a failed outcome; what the session raises goes to the caller.
    """

    capacity: int
    run: Callable[[Session], None]


@dataclass(frozen=True)
class Executor:
    """Where the evaluations of a search run.

    Attributes:
        open: A context manager from what is searched, with its ``cluster`` section, and an address
            (None for the default) to the workers; they are gone when it ends.
        takes_address: Whether an address means something.
    """

    open: Callable[[Problem, str | None], AbstractContextManager[Workers]]
    takes_address: bool = False
