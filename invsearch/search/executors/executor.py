"""Executor: where the evaluations of a search run."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from invsearch.problem.problem import Problem
    from invsearch.search.session import Session

__all__ = ["Executor", "WorkerState", "Workers"]


@dataclass(frozen=True)
class WorkerState:
    """A worker that takes part in a search, for whoever watches.

    Attributes:
        name: Which it is.
        trial: What it evaluates; None for nothing.
        step: How far that is.
        silent_s: Seconds since its last sign of life.
    """

    name: str
    trial: int | None
    step: int
    silent_s: float


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
        guards: Whether it keeps a second driver off the run's folder by itself, so that a file
            system without locks will do.
    """

    open: Callable[[Problem, str | None], AbstractContextManager[Workers]]
    takes_address: bool = False
    guards: bool = False
