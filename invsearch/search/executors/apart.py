"""Evaluating apart: in a process of its own, which can be ended when its time is up.

Nothing ends code within a process for certain: an exception from a signal is caught by a bare
``except:``, and native code never sees it. One process evaluates trial after trial, and a new one
takes its place when it was ended or ended itself.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from multiprocessing.connection import Connection, Pipe
from typing import TYPE_CHECKING

from invsearch.errors import DiskError, InputError
from invsearch.evaluation import Judge, Outcome, Progress
from invsearch.search.executors.evaluate import Task
from invsearch.search.limits import Limit
from invsearch.shadow import import_path
from invsearch.user_code.failure import describe_failure

if TYPE_CHECKING:
    from invsearch.problem.problem import Problem

__all__ = ["Apart", "OutOfTimeError"]

_START_S = 120.0  # to import torch and the space's modules from a cold disk, and room
_STOP_S = 10.0  # for an evaluator that was told to stop to write a checkpoint and return
_WORKER = "invsearch.search.executors.apart_worker"


class OutOfTimeError(Exception):
    """The time of the whole search is up."""


class Apart:
    """Evaluates in a process of its own.

    Args:
        problem: What is searched; it is pickled to the process.
        threads: Torch's threads there.
    """

    def __init__(self, problem: Problem, threads: int) -> None:
        self._problem, self._threads = problem, threads
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: Connection[object, object] | None = None

    def evaluate(self, task: Task, judge: Judge, limit: Limit) -> Outcome:
        """Evaluate to the end, or to where the judge or a limit stops it.

        Raises:
            OutOfTimeError: If the search's time is up.
            DiskError: If a checkpoint cannot be written.
            InputError: If the process cannot start.
        """
        steps = self.steps(task, limit)
        try:
            reached = next(steps)
            while True:
                reached = steps.send(judge(reached))
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]

    def steps(self, task: Task, limit: Limit) -> Generator[Progress, bool, Outcome]:
        """The same, which waits after each step to be sent whether to stop.

        The trial's time does not run while it waits.
        """
        self.start()
        begun = time.monotonic()
        trial_end = None if limit.trial_s is None else begun + limit.trial_s
        stopped: Progress | None = None
        assert self._pipe is not None
        try:
            self._pipe.send(task)
            while True:
                answer = self._receive(trial_end, limit.search_end)
                if isinstance(answer, Outcome):
                    return answer
                if isinstance(answer, DiskError):
                    raise answer
                assert isinstance(answer, Progress)
                asked = time.monotonic()
                if (yield answer):
                    stopped, trial_end = answer, time.monotonic() + _STOP_S
                elif trial_end is not None:
                    trial_end += time.monotonic() - asked
                self._pipe.send(stopped is not None)
        except TimeoutError:
            self.close()
            if stopped is not None:
                return Outcome(stopped.metrics, stopped=True)
            return Outcome(error=f"time limit: it took longer than {limit.trial_s:g} s")
        except (EOFError, OSError):
            return Outcome(error=self._ending(), died=True)

    def start(self) -> None:
        """Start the process, if it does not run, and wait until it can evaluate.

        Raises:
            InputError: If it cannot.
        """
        if self._process is not None:
            return
        self._pipe, theirs = Pipe()
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", _WORKER, str(theirs.fileno())],
            stdin=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": import_path(), "OMP_NUM_THREADS": str(self._threads)},
            pass_fds=(theirs.fileno(),),
            start_new_session=True,  # ended with all that it started, and not by Ctrl-C
        )
        theirs.close()
        try:
            self._pipe.send((self._problem, self._threads))
            reason = self._receive(time.monotonic() + _START_S, None)
        except TimeoutError:
            reason = f"it did not start within {_START_S:g} s"
        except (EOFError, OSError):
            reason = self._ending()
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            reason = f"the problem cannot be sent there: {describe_failure(error)}"
        if reason is not None:
            self.close()
            raise InputError(f"a process for evaluations cannot start: {reason}")

    def end(self) -> None:
        """End the process from another thread: whoever waits for it finds it ended by itself."""
        process = self._process
        if process is not None:
            _kill(process)

    def close(self) -> None:
        """End the process and everything that it started."""
        if self._pipe is not None:
            self._pipe.close()
        if self._process is not None:
            _kill(self._process)
            self._process.wait()
        self._process = self._pipe = None

    def _receive(self, trial_end: float | None, search_end: float | None) -> object:
        """The next message.

        Raises:
            TimeoutError: If none came before the trial's end.
            OutOfTimeError: If none came before the search's end.
        """
        assert self._pipe is not None
        ends = [end for end in (trial_end, search_end) if end is not None]
        if not self._pipe.poll(max(0.0, min(ends) - time.monotonic()) if ends else None):
            if search_end is not None and search_end <= time.monotonic():
                self.close()
                raise OutOfTimeError
            raise TimeoutError
        return self._pipe.recv()

    def _ending(self) -> str:
        """How the process ended by itself, in words."""
        assert self._process is not None
        try:
            code = self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            code = 0
        self.close()
        if code == -signal.SIGKILL:
            return "its process was killed (SIGKILL), which is how running out of memory looks"
        if code < 0:
            return f"its process was ended by signal {-code} ({signal.Signals(-code).name})"
        return f"its process ended with exit code {code} during the evaluation"


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
