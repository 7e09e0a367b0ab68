"""Workers of the executor `folder`, in processes that outlive a search, for the suites."""

from __future__ import annotations

import contextlib
import multiprocessing
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from invsearch.problem.problem import Problem
from invsearch.search.executors.folder.place import Place, read
from invsearch.search.executors.folder.worker import Patience, Worker

TOGETHER = 2  # as many as the cores of a small machine
_GONE_S = 3.0  # with nothing to do: the search has raised


def _serve(pipe: Connection[Any, Any]) -> None:
    while True:
        try:
            problem, run = pipe.recv()
        except EOFError:
            return
        place, until = Place(run), time.monotonic() + 60
        while (driver := read(place.driver)) is None and time.monotonic() < until:
            time.sleep(0.005)
        assert driver is not None
        worker = Worker(
            problem, place, driver["space"], threads=1, say=lambda line: None,
            patience=Patience(idle_s=_GONE_S),
        )  # fmt: skip
        pipe.send(worker.run().reason)


class Pool:
    """Processes each of which works on the runs that it is told of."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipes, self._processes = [], []
        for _ in range(TOGETHER):
            mine, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs,), daemon=True)
            process.start()
            theirs.close()
            self._pipes.append(mine)
            self._processes.append(process)

    @contextlib.contextmanager
    def at(self, problem: Problem, run: Path) -> Iterator[None]:
        """Let all work on a run for the length of a ``with`` block, and see them go."""
        for pipe in self._pipes:
            pipe.send((problem, run))
        yield
        for pipe in self._pipes:
            assert pipe.poll(60), "a worker does not go"
            pipe.recv()

    def close(self) -> None:
        for pipe, process in zip(self._pipes, self._processes, strict=True):
            pipe.close()
            process.join(10)
            process.kill()
