"""One run of the study: its budget, what it found so far, the document that it becomes."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from invsearch._version import __version__
from invsearch.bench.cifar10.plan import SIDE, StudySetting, Training
from invsearch.bench.cifar10.summary import summarised

__all__ = ["SCHEMA", "Study"]

SCHEMA = 1  # of the JSON; rises with every change that readers must know of

_EVALUATION_SHARE = 0.1
"""Of a training, on top of its steps: seven looks at 5,000 images and one at 10,000."""

_START_SECONDS = 3.0
"""Of a training before its first step, in a process that runs already."""

_OVERLAP = 1.3
"""A cautious guess of what processes gain by filling each other's waits for Python; unmeasured."""


@dataclass
class Study:
    """One run of the study: what is to be trained, and what was found so far.

    Attributes:
        setting: How networks are trained.
        trainings: What to train, in order.
        workers: Processes at a time.
        seconds: Budget of the whole.
        path: The file that it becomes.
        command: How it was called.
        together: How much faster all processes are together than one alone, until it is known;
            None for a guess.
        began: Seconds of the monotonic clock.
    """

    setting: StudySetting
    trainings: Sequence[Training]
    workers: int
    seconds: float
    path: Path
    command: str = ""
    together: float | None = None
    began: float = field(default_factory=time.monotonic)
    environment: dict[str, Any] | None = None
    backends: dict[str, str] | None = None
    images: dict[str, int] | None = None
    prepared: list[dict[str, Any]] = field(default_factory=list)
    timings: list[dict[str, Any]] = field(default_factory=list)
    records: list[dict[str, Any]] = field(default_factory=list)
    unfinished: dict[str, dict[str, Any]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    complete: bool = False
    stopped: bool = False
    training_began: float | None = None
    lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def passed(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self.began

    @property
    def deadline(self) -> float:
        """Of the monotonic clock."""
        return self.began + self.seconds

    @property
    def guessed_speed(self) -> float:
        """Seconds' worth of work alone that all processes do in one, before any has ended."""
        if self.together is not None:
            return self.together
        waits = not self.setting.graphs and self.setting.device != "cpu"
        return _OVERLAP if waits and self.workers > 1 else 1.0

    def note(self, line: str) -> None:
        """Say something, and keep it for the document."""
        with self.lock:
            self.notes.append(f"{self.passed:.0f} s: {line}")
        self.say(line)

    def say(self, line: str) -> None:
        """Print a line with the seconds passed."""
        print(f"[{self.passed:6.1f} s] {line}", flush=True)

    def alone_seconds(self, training: Training, epochs: int | None = None) -> float:
        """What a training would take alone on the device, from the timed steps."""
        rows = [row for row in self.timings if row["network"] == training.network]
        rows = [row for row in rows if row["graphs"] is self.setting.graphs] or rows
        if not rows or self.images is None:
            return 0.0
        batch = min(self.setting.batch_size, self.images["train"])
        steps = (epochs or self.setting.epochs) * (self.images["train"] // batch)
        timed = min(64, batch) if self.setting.device == "cpu" else batch
        step_s = float(rows[-1]["step_ms"]) / 1e3 * batch / timed
        return _START_SECONDS + steps * step_s * (1 + _EVALUATION_SHARE)

    def document(self) -> dict[str, Any]:
        """The JSON."""
        with self.lock:
            return {
                "schema": SCHEMA,
                "kind": "cifar10",
                "version": __version__,
                "complete": self.complete,
                "command": self.command,
                "seconds": self.passed,
                "budget_seconds": self.seconds,
                "environment": self.environment,
                "backends": self.backends,
                "resolution": SIDE,
                "images": self.images,
                "workers": self.workers,
                "setting": self.setting.as_dict(),
                "recipe": vars(self.setting.recipe()),
                "planned": [asdict(training) for training in self.trainings],
                "prepared": list(self.prepared),
                "timings": list(self.timings),
                "trainings": list(self.records),
                "unfinished": dict(self.unfinished),
                "notes": list(self.notes),
                "summary": summarised(self.records, self.timings),
            }

    def save(self, *, final: bool = False) -> Path:
        """Write the document: beside the file until the end, so that it replaces nothing before."""
        partial = self.path.with_suffix(".partial.json")
        with self.lock:
            partial.parent.mkdir(parents=True, exist_ok=True)
            fresh = partial.with_suffix(".new")
            fresh.write_text(json.dumps(self.document(), indent=1) + "\n", encoding="utf-8")
            fresh.replace(partial)
            return partial.replace(self.path) if final else partial
