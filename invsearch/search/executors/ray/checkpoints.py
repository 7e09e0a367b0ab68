"""Where the workers of a run keep checkpoints, and whose checkpoint is in a folder."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from invsearch.atomic import write_atomic
from invsearch.errors import DiskError
from invsearch.runs import RunFolder
from invsearch.search.final import clear

__all__ = ["TUNE", "Checkpoints", "claim"]

TUNE = "tune"
"""Where Tune keeps its own bookkeeping, beside the trials' folders."""

_OWNER = "trial.json"


class Checkpoints:
    """The folders in which the trials of one run are saved.

    Args:
        folder: The run's folder.
        storage: A folder that all nodes share; None where the run's folder is one, or there is no
            second node.
    """

    def __init__(self, folder: RunFolder, storage: str | None) -> None:
        run = folder.path.resolve()  # and not the storage: each node finds it by its name
        self._kept = run / "checkpoints"
        if storage is None:
            self.root = self._kept
        else:
            place = hashlib.sha256(str(run).encode()).hexdigest()[:8]
            self.root = Path(storage).absolute() / f"{run.name}-{place}"

    def of(self, number: int) -> Path:
        """The folder of a trial."""
        return self.root / str(number)

    def drop(self, number: int) -> None:
        """Remove a trial's checkpoints; the weights that it ended with stay with the run.

        They are judged on the test set where the trial is on the final front.
        """
        place, kept = self.of(number), self._kept / str(number)
        clear(place)
        if place != kept and place.is_dir():
            shutil.copytree(place, kept, dirs_exist_ok=True)
            shutil.rmtree(place, ignore_errors=True)

    def close(self, kept: Callable[[int], bool]) -> None:
        """Remove Tune's own bookkeeping, which nothing reads again, and what is empty.

        Args:
            kept: Whether a trial may still go on. A worker may have saved one that it was told to
                stop when the driver had dropped it already.
        """
        shutil.rmtree(self.root / TUNE, ignore_errors=True)
        for place in self.root.iterdir() if self.root.is_dir() else ():
            if place.name.isdecimal() and not kept(int(place.name)):
                self.drop(int(place.name))
        if self.root.is_dir() and not any(self.root.iterdir()):
            self.root.rmdir()


def claim(folder: Path, trial: Mapping[str, Any]) -> None:
    """Make a folder a trial's own: what another trial left there is removed.

    A node that the driver's folder is not shared with may hold checkpoints of an earlier run under
    the same path, of other architectures with the same numbers.

    Args:
        folder: The trial's folder; it is made.
        trial: What the trial is, as plain data.

    Raises:
        DiskError: If it cannot be made.
    """
    owner, text = folder / _OWNER, json.dumps(trial, sort_keys=True)
    try:
        if owner.is_file() and owner.read_text(encoding="utf-8") != text:
            shutil.rmtree(folder)
        folder.mkdir(parents=True, exist_ok=True)
        if not owner.is_file():
            write_atomic(owner, text)
    except OSError as error:
        raise DiskError.of(error, folder, "written") from error
