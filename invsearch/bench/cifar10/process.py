"""The other end of a process of the CIFAR-10 study: requests out, events in, and an end in time."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, ClassVar

from invsearch.errors import TrialError
from invsearch.shadow import import_path

__all__ = ["LateError", "WorkerProcess"]

STALLED_SECONDS = 150.0
"""Without an event a process hangs: an epoch, or the compilation of all kernels, takes less."""

Heard = Callable[[dict[str, Any]], None]


class LateError(TrialError):
    """What was asked for was not done in time; the process is ended."""


class WorkerProcess:
    """A process of :mod:`invsearch.bench.cifar10.worker`, started at once and ended by ``end``."""

    _all: ClassVar[list[WorkerProcess]] = []

    def __init__(self) -> None:
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        environment["PYTHONPATH"] = import_path()
        environment.setdefault("OMP_NUM_THREADS", "1")
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "invsearch.bench.cifar10.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self._events: queue.Queue[dict[str, Any] | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        self._all.append(self)

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return self._process.poll() is None

    def ask(self, request: dict[str, Any], deadline: float, heard: Heard) -> dict[str, Any]:
        """Send a request and wait for its end.

        Args:
            request: What to do.
            deadline: Of the monotonic clock.
            heard: Gets every event as it comes.

        Returns:
            The last event, ``done`` or ``failed``.

        Raises:
            LateError: If the deadline passed, or nothing was heard for long.
            TrialError: If the process died.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except OSError as error:
            raise TrialError(f"the process had died: {error}") from error
        while True:
            event = self._next(deadline)
            heard(event)
            if event["event"] in ("done", "failed"):
                return event

    def end(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        self._process.wait()

    @classmethod
    def end_all(cls) -> None:
        """End every process that was started here."""
        for one in list(cls._all):
            one.end()

    def _next(self, deadline: float) -> dict[str, Any]:
        left = deadline - time.monotonic()
        try:
            event = self._events.get(timeout=max(0.0, min(left, STALLED_SECONDS)))
        except queue.Empty:
            self.end()
            if left <= STALLED_SECONDS:
                raise LateError("out of time") from None
            raise LateError(f"nothing was heard for {STALLED_SECONDS:.0f} s") from None
        if event is None:
            self._process.wait()
            raise TrialError(f"the process died with exit code {self._process.returncode}")
        return event

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._events.put(json.loads(line))
        self._events.put(None)
