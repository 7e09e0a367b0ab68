"""What is found out about this machine: at first need, once, and never within a trace.

Libraries, drivers, files and entry points are looked for when something first needs to know. That
first need may be a compiler's: it must take the answer as it is, and not trace how it was found.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Protocol, TypeVar, cast

__all__ = ["Probe", "probe"]

T = TypeVar("T")
Found = TypeVar("Found", covariant=True)


class Probe(Protocol[Found]):
    """A function of no arguments that keeps its first answer."""

    def __call__(self) -> Found: ...

    def forget(self) -> None:
        """Looks again at the next call: for who changes what is found."""


def probe(find: Callable[[], T]) -> Probe[T]:
    """Decorates what looks something up: it is called at first need, and its answer kept.

    Dynamo (torch.compile, strict torch.export) calls the result as Python does, and puts its answer
    into the trace as a constant. Tracers that run Python itself (non-strict export, make_fx,
    `torch.jit.trace`, fake tensors) see nothing of it, as long as `find` calls no operator of torch
    or is asked only where nothing is recorded (`ops.eager.recorded`).

    Threads that come at the same time may each look; the first answer stays, for everybody. There
    is no lock: one that a thread holds when the process forks is never let go.
    """
    found: list[T] = []

    @functools.wraps(find)
    def answer() -> T:
        if not found:
            found.append(find())
        return found[0]

    # as torch.compiler.assume_constant_result, which would import all of Dynamo here
    vars(answer).update(_dynamo_marked_constant=True, forget=found.clear)
    return cast("Probe[T]", answer)
