"""The process in which trials are evaluated apart: ``python -m ... DESCRIPTOR``."""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
from multiprocessing.connection import Connection
from typing import Any

from invsearch.errors import DiskError
from invsearch.evaluation import Progress
from invsearch.search.executors.evaluate import Task, evaluate
from invsearch.user_code.failure import UserCodeError
from invsearch.user_code.guard import Guard

__all__ = ["main"]


def main(descriptor: int) -> None:
    """Evaluate what comes through a pipe until its other end is gone.

    First comes the problem with torch's threads, answered by None or by why nothing can be
    evaluated; then tasks, each answered by what it reached, which is answered by whether to stop,
    and in the end by its outcome, or by the error of a disk that takes no checkpoint.
    """
    os.set_inheritable(descriptor, False)  # not into what user code starts
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the driver's to take
    pipe: Connection[Any, Any] = Connection(descriptor)
    incoming: queue.SimpleQueue[Any] = queue.SimpleQueue()
    problem, threads = pipe.recv()
    pipe.send(_prepared(problem, threads))
    threading.Thread(target=_listen, args=(pipe, incoming), daemon=True).start()

    def judge(reached: Progress) -> bool:
        pipe.send(reached)
        return bool(incoming.get())

    while True:
        task: Task = incoming.get()
        try:
            pipe.send(evaluate(problem, task, judge))
        except DiskError as error:
            pipe.send(error)


def _prepared(problem: Any, threads: int) -> str | None:
    try:
        Guard().call(problem.check)
    except UserCodeError as error:
        return str(error)
    if (torch := sys.modules.get("torch")) is not None:  # else it reads the environment
        torch.set_num_threads(threads)
    return None


def _listen(pipe: Connection[Any, Any], incoming: queue.SimpleQueue[Any]) -> None:
    """Hand on what comes; end with all that was started here when the driver is gone."""
    while True:
        try:
            incoming.put(pipe.recv())
        except (EOFError, OSError):
            os.killpg(os.getpgrp(), signal.SIGKILL)


if __name__ == "__main__":
    main(int(sys.argv[1]))
