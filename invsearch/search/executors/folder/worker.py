"""The worker: takes the trials that the driver gives it, evaluates them apart, and hands back."""

from __future__ import annotations

import json
import os
import secrets
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from invsearch.errors import DiskError, InputError
from invsearch.evaluation import Outcome, Progress
from invsearch.runs import describe
from invsearch.runs.files import append_lines
from invsearch.search.executors.apart import Apart
from invsearch.search.executors.evaluate import Task
from invsearch.search.executors.folder.crew import versions
from invsearch.search.executors.folder.desk import OVER, SEARCHING
from invsearch.search.executors.folder.place import PROTOCOL, Place, read, remove, write
from invsearch.search.executors.folder.pulse import Pulse
from invsearch.search.executors.machines import lacking_devices
from invsearch.search.executors.plain import plain_outcome, plain_progress
from invsearch.search.limits import Limit

if TYPE_CHECKING:
    from invsearch.problem.problem import Problem

__all__ = ["Ending", "Patience", "Worker"]

_QUICK_S, _SLOW_S, _SLOWER = 0.01, 0.5, 1.3  # pauses between looks: after news, and without any
_ALONE_S = 10.0  # without a beat of the driver before it is said
_DISK_S = 1.0  # between two tries to write what a disk did not take


@dataclass(frozen=True)
class Patience:
    """When a worker goes by itself.

    Attributes:
        stop_after_s: It takes no further trial after so many seconds.
        idle_s: It goes after so many seconds with nothing to do.
        grace_s: For so long a run that was over before it came may be taken up again.
    """

    stop_after_s: float | None = None
    idle_s: float | None = None
    grace_s: float = 30.0  # a driver that goes on imports torch, and loads its data, before


@dataclass(frozen=True)
class Ending:
    """Why a worker goes.

    Attributes:
        reason: In words.
        evaluated: How many trials it handed back.
        again: Whether it is to begin anew, since what is searched has changed.
    """

    reason: str
    evaluated: int
    again: bool = False


class _LostError(Exception):
    """The lease is over."""


class Worker:
    """One worker of a run.

    Args:
        problem: What is searched.
        place: The run's folder of workers.
        space: The digest of what is searched, as the driver named it.
        threads: Torch's threads for an evaluation.
        say: Tells the user, in a line.
        patience: When it goes by itself.
    """

    def __init__(
        self,
        problem: Problem,
        place: Place,
        space: str,
        *,
        threads: int,
        say: Callable[[str], None],
        patience: Patience | None = None,
    ) -> None:
        self._place, self._space, self._threads = place, space, threads
        self._say, self._patience = say, patience or Patience()
        self._apart = Apart(problem, threads)
        self._gpus = problem.file.cluster.gpus_per_trial
        self._evaluated = 0
        self._done: str | None = None  # a lease that only waits for the driver
        self._began = self._busy = time.monotonic()
        self._driver = _Driver(place)
        self.trial: int | None = None
        name = f"{socket.gethostname()}-{os.getpid()}"
        self.name = name
        self.folder = place.root / f"{name}-{secrets.token_hex(3)}"

    def run(self) -> Ending:
        """Work until there is a reason to go.

        Raises:
            InputError: If it cannot evaluate, or the driver sends it away.
            KeyboardInterrupt: If it was interrupted; its trial goes to another.
        """
        try:
            self._apart.start()
            self._register()
            self._began = self._busy = time.monotonic()
            with Pulse(self.folder, self._driver.lease_s, self._apart.end) as pulse:
                ending = self._work(pulse)
            if pulse.free:
                remove(self.folder)  # nothing in it is wanted any more
            return ending
        finally:
            self._apart.close()

    def _register(self) -> None:
        """Make the folder, whole from the first moment.

        Raises:
            InputError: If this machine has no GPU, and trials take one.
        """
        environment = describe()
        lacking = lacking_devices(self._gpus, environment, "a trial takes a GPU")
        if lacking:
            raise InputError(lacking[0])
        made = self.folder.with_name(f".{self.folder.name}")
        made.mkdir()
        write(
            made / "worker.json",
            {
                "protocol": PROTOCOL,
                "name": self.name,
                "space": self._space,
                "threads": self._threads,
                "environment": environment,
                "versions": versions(environment),
            },
        )
        write(made / "orders.json", {"lease": None, "decisions": {}, "leave": ""})
        write(made / "pulse.json", {"beat": 0, "lease": None, "said": 0, "left": False})
        made.replace(self.folder)

    def _work(self, pulse: Pulse) -> Ending:
        try:
            return self._trials(pulse)
        finally:
            self._apart.close()  # before the trial is another's
            pulse.leave()

    def _trials(self, pulse: Pulse) -> Ending:
        pause = _QUICK_S
        while True:
            orders = pulse.orders()
            if orders.get("leave"):
                raise InputError(f"the driver of {self._place.run} refuses: {orders['leave']}")
            lease = orders.get("lease")
            if lease not in (None, self._done):
                self._take(pulse, lease)
                self._busy, pause = time.monotonic(), _QUICK_S
                continue
            ending = self._why_go(gone="gone" in orders)
            if ending is not None:
                return ending
            time.sleep(pause)
            pause = min(pause * _SLOWER, _SLOW_S)

    def _why_go(self, *, gone: bool) -> Ending | None:
        now, patience = time.monotonic(), self._patience
        driver = self._driver.look(self._say)
        if driver.get("state") == OVER:
            if self._evaluated or self._driver.seen or now - self._began > patience.grace_s:
                return Ending(f"the search is over: {driver['reason']}", self._evaluated)
            self._driver.tell_over(self._say, patience.grace_s)
        elif gone or driver.get("space", self._space) != self._space:
            return Ending("what is searched has changed", self._evaluated, again=True)
        if patience.stop_after_s is not None and now - self._began > patience.stop_after_s:
            return Ending(f"--stop-after {patience.stop_after_s:g} s are over", self._evaluated)
        if patience.idle_s is not None and now - self._busy > patience.idle_s:
            return Ending(f"there was nothing to do for {patience.idle_s:g} s", self._evaluated)
        return None

    def _take(self, pulse: Pulse, lease: str) -> None:
        """Evaluate what the driver has given, and leave it the outcome."""
        path = self.folder / lease
        told = read(path / "task.json")
        if told is None:  # it has not come through yet, or is gone again
            time.sleep(_QUICK_S)
            return
        pulse.hold(lease)
        task = replace(Task.from_json(told["task"]), folder=path / "checkpoint")
        self.trial = task.number
        talk = _Talk(path / "messages.jsonl", pulse, self._say)
        try:
            for message in self._steps(task, told, talk):
                talk.send(message)
                self._evaluated += "outcome" in message and not message["outcome"]["died"]
        except _LostError:
            self._apart.close()
            self._say(f"trial {task.number} is not this worker's any more: dropped")
        pulse.rest()
        self._done, self.trial = lease, None

    def _steps(
        self, task: Task, told: Mapping[str, Any], talk: _Talk
    ) -> Iterator[Mapping[str, Any]]:
        """The messages of an evaluation; the last is its outcome, or the disk's trouble."""
        rungs = _Rungs(told["rungs"], told["promoted"] or 0)
        evaluation = self._apart.steps(task, Limit(told["trial_s"]))
        try:
            reached: Progress = next(evaluation)
            while True:
                waits = rungs.judged(reached)
                yield {"reached": plain_progress(reached), "waits": waits}
                stops = waits and talk.decision(reached.step)
                reached = evaluation.send(stops)
        except StopIteration as end:
            outcome: Outcome = end.value
            yield {"outcome": plain_outcome(outcome)}
        except DiskError as error:
            yield {"disk": str(error)}


class _Rungs:
    """Where the driver is waited for: at rungs, and where one was passed without a word."""

    def __init__(self, rungs: Sequence[int], after: int) -> None:
        self._rungs, self._last = rungs, after

    def judged(self, reached: Progress) -> bool:
        if reached.done or not reached.metrics:
            return False
        last, self._last = self._last, max(self._last, reached.step)
        return any(last < rung <= reached.step for rung in self._rungs)


class _Talk:
    """What is said to the driver about one lease, and what it answers."""

    def __init__(self, path: Path, pulse: Pulse, say: Callable[[str], None]) -> None:
        self._path, self._pulse, self._say = path, pulse, say

    def send(self, message: Mapping[str, Any]) -> None:
        """Leave a message; where the disk takes it not, try again until it does.

        Raises:
            _LostError: If the lease is over.
        """
        line, told = json.dumps(message), False
        while True:
            self._check()
            try:
                append_lines(self._path, line, durable=False)
                said = self._path.stat().st_size
                break
            except FileNotFoundError:
                raise _LostError from None
            except OSError as error:
                told = told or self._tell(error)
                time.sleep(_DISK_S)
        while not self._pulse.say(said):
            self._check()
            time.sleep(_DISK_S)

    def decision(self, step: int) -> bool:
        """Wait until the driver has said whether the trial stops.

        Raises:
            _LostError: If the lease is over.
        """
        pause = _QUICK_S
        while True:
            self._check()
            decided = self._pulse.orders().get("decisions", {})
            if str(step) in decided:
                return bool(decided[str(step)])
            time.sleep(pause)
            pause = min(pause * _SLOWER, _SLOW_S)

    def _check(self) -> None:
        if not self._pulse.stands():
            raise _LostError

    def _tell(self, error: OSError) -> bool:
        self._say(f"{DiskError.of(error, self._path, 'written')}; trying again until it is")
        return True


class _Driver:
    """The driver as a worker sees it."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._data = read(place.driver) or {}
        self._heard, self._told = time.monotonic(), False
        self.seen = False

    @property
    def lease_s(self) -> float:
        """Seconds without a sign of life after which a worker is lost."""
        return float(self._data["lease_s"])

    def look(self, say: Callable[[str], None]) -> Mapping[str, Any]:
        """What it says of itself; where it is silent the user is told, once."""
        now, data = time.monotonic(), read(self._place.driver)
        if data is not None and data != self._data:
            self._data, self._heard, self._told = data, now, False
        state = self._data.get("state")
        self.seen |= state == SEARCHING and now - self._heard < _ALONE_S
        silent = now - self._heard > max(_ALONE_S, self.lease_s)
        if state != OVER and not self._told and (silent or state != SEARCHING):
            self._told = True
            say(
                f"{self._place.run}: no driver searches there now; waiting for one, which goes on "
                "with invsearch run ... --resume"
            )
        return self._data

    def tell_over(self, say: Callable[[str], None], grace_s: float) -> None:
        """Say once that the run was over before the worker came."""
        if not self._told:
            self._told = True
            say(
                f"{self._place.run}: the search is over ({self._data['reason']}); waiting "
                f"{grace_s:g} s for a driver that goes on"
            )
