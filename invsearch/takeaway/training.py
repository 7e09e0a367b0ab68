"""One training of a network to keep: followed, saved, gone on with, and written at its end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from invsearch.errors import InputError
from invsearch.metrics import Metric
from invsearch.takeaway.job import Finished, Job
from invsearch.takeaway.kept import CHECKPOINT, already, keep
from invsearch.train.callbacks import Callback, Curves, ProgressView, callback_of
from invsearch.train.processes import ALONE, Processes

__all__ = ["Follow", "KeptTraining", "Told"]

Told = Callable[[str], None]


@dataclass(frozen=True)
class Follow:
    """Who follows a training.

    Attributes:
        tell: Takes lines of progress.
        console: Where a bar moves, if it is a terminal.
        logs: Names of callbacks, for networks that are kept.
        extra: Callbacks of the caller's own.
    """

    tell: Told
    console: Console | None = None
    logs: tuple[str, ...] = ()
    extra: tuple[Callback, ...] = ()

    def check(self, output: Path | None) -> None:
        """Find out before the training whether every callback can be had.

        Raises:
            InputError: If one is unknown, lacks its package, or has no folder to write to.
        """
        for name in self.logs:
            callback_of(name)
        if self.logs and output is None:
            raise InputError("--callback is for a network to keep: name its folder with -o")

    def callbacks(self, job: Job, *, kept: bool) -> Sequence[Callback]:
        """Those of one training."""

        def tell(line: str) -> None:
            self.tell(f"seed {job.seed}: {line}")

        view = ProgressView(self.console, tell, job.words())
        if not kept:
            return (view, *self.extra)
        return (view, Curves(), *map(callback_of, self.logs), *self.extra)


@dataclass(frozen=True)
class KeptTraining:
    """A training whose network is kept.

    Attributes:
        job: What is trained.
        target: The folder.
        origin: Where the network comes from.
        name: Of it, for people.
        follow: Who follows.
        processes: Those that train it together; the first one writes.
    """

    job: Job
    target: Path
    origin: Mapping[str, Any]
    name: str
    follow: Follow
    processes: Processes = ALONE

    @property
    def checkpoint(self) -> Path:
        return self.target / CHECKPOINT

    def there(self) -> dict[str, Metric] | None:
        """The metrics of this training, if the folder holds it already.

        Raises:
            InputError: If the folder holds something else.
        """
        saved = already(self.target, self.job) if self.processes.first else None
        return self.processes.from_first(None if saved is None else saved.metrics)  # type: ignore[no-any-return]

    def run(self) -> tuple[Finished, dict[str, Metric]]:
        """Train and keep.

        Returns:
            What came out, and the metrics with the costs.
        """
        first = self.processes.first
        finished = self.job.run(
            self.checkpoint,
            self.follow.callbacks(self.job, kept=True),
            name=self.name,
            judged=True,
            processes=self.processes,
        )
        metrics = keep(self.origin, self.job, finished, self.target) if first else {}
        return finished, self.processes.from_first(metrics)

    def forget(self) -> None:
        """Remove the checkpoint, when all is kept."""
        if self.processes.first:
            self.checkpoint.unlink(missing_ok=True)
