"""Where driver and workers of a run leave each other files, and how these are read and written.

Every file has one writer, and is replaced as a whole; a file that grows is read as far as its
writer said that it goes. So nothing has to be locked, and a copy that a network's file system gives
out of its cache is only old. What must be seen at once has a name that is always there: of names
that were not there a moment ago such a system may go on saying so for half a minute.

::

    RUN/workers/
      driver.json             the driver's: who it is, whether it searches, its beat
      space.yaml              the driver's: what is searched, its settings applied
      <worker>/
        worker.json           the worker's: what it runs and where
        pulse.json            the worker's: its beat, how far its messages go
        orders.json           the driver's: the lease that it has, what was decided
        <lease>/              one trial, as long as this worker has it
          task.json           the driver's
          messages.jsonl      the worker's: what steps brought, and the outcome
          checkpoint/         the worker's
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from invsearch.atomic import write_atomic
from invsearch.space.sources import COPY

__all__ = ["PROTOCOL", "Place", "move", "read", "refresh", "remove", "write"]

PROTOCOL = 1  # of these files; rises with a change that an older worker must not take part in
FOLDER = "workers"


class Place:
    """The folder ``workers/`` of a run.

    Args:
        run: The run's folder, as this machine names it.
    """

    def __init__(self, run: Path) -> None:
        self.run = run
        self.root = run.absolute() / FOLDER
        self.driver = self.root / "driver.json"
        self.space = self.root / COPY

    def checkpoint(self, number: int) -> Path:
        """Where a trial's checkpoint rests while no worker has it."""
        return self.root.parent / "checkpoints" / str(number)

    def workers(self) -> Iterator[Path]:
        """The folders of workers."""
        if not self.root.is_dir():
            return
        refresh(self.root)
        for path in sorted(self.root.iterdir()):
            if (path / "worker.json").is_file():
                yield path


def read(path: Path) -> dict[str, Any] | None:
    """Read a file; None where it is not there, or not whole yet."""
    try:
        data = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return data if isinstance(data, dict) else None


def write(path: Path, data: Mapping[str, Any]) -> None:
    """Replace a file. A power cut may lose it: then nobody has the lease."""
    write_atomic(path, json.dumps(data), durable=False)


def refresh(folder: Path) -> None:
    """Make sure that the next listing of a folder on a network is no old one.

    A client may show the names that it knew for half a minute, unless it has changed them itself.
    """
    with contextlib.suppress(OSError):  # a full disk: then it may be an old one
        descriptor, name = tempfile.mkstemp(prefix=".look-", dir=folder)
        os.close(descriptor)
        Path(name).unlink(missing_ok=True)


def move(source: Path, target: Path) -> None:
    """Move a folder of checkpoints, if anything is in it; what is there already stays there.

    From then on whoever writes to the old place, which a paused worker may do, changes nothing.
    """
    if not source.is_dir() or not any(source.iterdir()):
        return
    if target.is_dir() and any(target.iterdir()):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    source.replace(target)


def remove(folder: Path) -> None:
    """Remove a folder; a worker that was given up may still write there."""
    shutil.rmtree(folder, ignore_errors=True)
