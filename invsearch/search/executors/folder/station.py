"""A worker's station: from a run's name to a worker, which begins anew when the run has changed."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from invsearch.errors import InputError
from invsearch.problem.kinds import problem_of
from invsearch.problem.problem import Problem
from invsearch.runs.load import RESULTS
from invsearch.search.executors.folder.place import PROTOCOL, Place, read
from invsearch.search.executors.folder.worker import Ending, Patience, Worker
from invsearch.space import load_space_file

__all__ = ["Station"]

_LOOK_S = 0.5  # between two looks for a run that is not there yet
_VISIBLE = "CUDA_VISIBLE_DEVICES"


class Station:
    """Where a worker is started.

    Args:
        run: The run's folder, or its name in ``results/``; it may not be there yet.
        threads: Torch's threads for an evaluation; None for what the space file says.
        device: The device that evaluations see, in place of all.
        patience: When the worker goes by itself.
        say: Tells the user, in a line.

    Raises:
        InputError: If the device is none.
    """

    def __init__(
        self,
        run: Path,
        threads: int | None,
        device: str | None,
        patience: Patience,
        say: Callable[[str], None],
    ) -> None:
        self._given, self._threads, self._device = run, threads, device
        self._patience, self._say = patience, say
        self._worker: Worker | None = None
        self._began = time.monotonic()
        if device is not None:
            _show_only(device)

    @property
    def run(self) -> Path:
        """The run's folder; where it is not there yet, what was given."""
        for candidate in (self._given, RESULTS / self._given):
            if Place(candidate).driver.is_file():
                return candidate
        return self._given

    @property
    def left_behind(self) -> str:
        """What an interrupted worker leaves, in words."""
        trial = None if self._worker is None else self._worker.trial
        if trial is None:
            return "it had no trial"
        return f"trial {trial} goes to another worker, from what was saved of it"

    def work(self) -> Ending:
        """Work until there is a reason to go.

        Raises:
            InputError: If the run cannot be worked on here.
        """
        evaluated = 0
        while True:
            driver = self._wait()
            if driver is None:
                return Ending(f"no run was there for {self._patience.idle_s:g} s", evaluated)
            ending = self._once(driver)
            evaluated += ending.evaluated
            if not ending.again:
                return replace(ending, evaluated=evaluated)

    def _once(self, driver: Mapping[str, Any]) -> Ending:
        place = Place(self.run)
        problem = _problem(place, driver, self._device)
        threads = self._threads or max(1, int(problem.file.cluster.cpus_per_trial))
        self._worker = Worker(
            problem,
            place,
            driver["space"],
            threads=threads,
            say=self._say,
            patience=self._patience,
        )
        self._say(f"worker {self._worker.name}: works on {self.run}")
        return self._worker.run()

    def _wait(self) -> dict[str, Any] | None:
        """Wait for a driver to have come; None when that takes longer than the worker waits."""
        told = False
        while True:
            driver = read(Place(self.run).driver)
            if driver is not None:
                return driver
            if not told:
                told = True
                self._say(
                    f"{self._given}: no search with the executor folder there yet; waiting for "
                    "invsearch run ... --executor folder"
                )
            idle_s = self._patience.idle_s
            if idle_s is not None and time.monotonic() - self._began > idle_s:
                return None
            time.sleep(_LOOK_S)


def _problem(place: Place, driver: Mapping[str, Any], device: str | None) -> Problem:
    """What the driver searches, with the files that the run keeps.

    Raises:
        InputError: If it cannot be read here, or the driver is of another version.
    """
    if driver.get("protocol") != PROTOCOL:
        raise InputError(
            f"{place.driver}: files of form {driver.get('protocol')}, this version's are "
            f"{PROTOCOL}: install the driver's invsearch"
        )
    settings = list(driver["settings"])
    file = load_space_file(place.space, settings, run=lambda slug: place.run)
    if device is not None and file.accuracy is not None:
        # of all devices the only one that is left: its own name may have been another's
        one = "cpu" if device == "cpu" else "auto"
        file = replace(file, accuracy=file.accuracy.model_copy(update={"device": one}))
    return problem_of(file)


def _show_only(device: str) -> None:
    """Hide all GPUs but one from evaluations.

    Raises:
        InputError: If there is no such device.
    """
    found = re.fullmatch(r"cpu|cuda:(\d+)", device)
    if found is None:
        raise InputError(f"--device {device} is neither cpu nor cuda:N")
    if found[1] is None:
        os.environ[_VISIBLE] = ""
        return
    index, visible = int(found[1]), os.environ.get(_VISIBLE)
    if visible is None:
        os.environ[_VISIBLE] = str(index)
        return
    names = [name for name in visible.split(",") if name.strip()]
    if index >= len(names):
        raise InputError(f"--device {device} is not here: {_VISIBLE} is {visible!r}")
    os.environ[_VISIBLE] = names[index]
