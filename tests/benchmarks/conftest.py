"""One thread, one warm-up, and the correctness check of `invsearch bench` before each timing."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from invsearch.bench import Candidate
from ops.timing import check

Time = Callable[..., None]


@pytest.fixture
def stack() -> Iterator[contextlib.ExitStack]:
    """Closes what a candidate opened."""
    with contextlib.ExitStack() as opened:
        yield opened


@pytest.fixture
def time(benchmark: Any, stack: contextlib.ExitStack) -> Time:
    """Times a candidate after a comparison with its oracle, if it gets one."""

    def run(candidate: Candidate, oracle: Candidate | None = None) -> None:
        work = candidate.enter(stack)
        if oracle is not None:
            check("candidate", work(), oracle.enter(stack)())
        if candidate.cost is not None:
            benchmark.extra_info["macs"] = candidate.cost.macs
            benchmark.extra_info["moved_bytes"] = candidate.cost.moved_bytes
        benchmark(work)

    return run
