"""What a run of `python -m invsearch.bench.gpu` found, and its file, which is whole at any time."""

from __future__ import annotations

import json
import math
import os
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import ops
from invsearch._version import __version__
from invsearch.bench.gpu.budget import late
from invsearch.bench.gpu.rows import GpuClaim, GpuFigure

__all__ = ["SCHEMA", "GpuSession", "replace_text"]

SCHEMA = 1  # of the JSON; rises with every change that readers must know of

_CLOSING_SECONDS = 3.0
"""Kept from the budget: to free what the last row holds, and to write the file."""

_REFUTED_BY: Mapping[str, tuple[str, ...]] = {
    "released": ("bare",),
    "eager": ("bare", "fused"),
    "network": ("bare", "fused"),
    "training": ("bare", "fused", "backward"),
    "capture": (),
    "two": (),
    "first": (),
}
"""Kinds of checks that rows of a kind need; others need those of their own kind."""

_OWN_PROCESS = ("capture", "two", "first")
"""Kinds that run in processes of their own, whatever became of this one."""


@dataclass
class GpuSession:
    """What one run found.

    Attributes:
        device: Where.
        path: The file that it becomes.
        planned: The rows that it is to measure, in order.
        budget: Seconds of the whole.
        began: Seconds of the monotonic clock.
        copy: The copy bandwidth.
        checks: The comparisons with fp64.
        rows: The rows done, in order.
        broken: Why this process can do nothing more on the GPU, or None.
        stopped: Why it ended before its end, or None.
        complete: Whether it came to its end, with every row.
    """

    device: str
    path: Path
    planned: Sequence[GpuClaim] = ()
    budget: float = math.inf
    began: float = field(default_factory=time.monotonic)
    copy: dict[str, Any] | None = None
    checks: list[dict[str, Any]] = field(default_factory=list)
    rows: list[GpuFigure] = field(default_factory=list)
    broken: str | None = None
    stopped: str | None = None
    complete: bool = False
    _lock: threading.RLock = field(default_factory=threading.RLock, repr=False)

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self.began

    @property
    def left(self) -> float:
        """Seconds that rows may still take."""
        return self.budget - _CLOSING_SECONDS - self.seconds

    @property
    def good(self) -> bool:
        """Whether every result was right, and every row has what it should."""
        right = all(one["passed"] for one in self.checks)
        return right and not self.stopped and not any(one.failed for one in self.rows)

    @cached_property
    def surroundings(self) -> dict[str, Any]:
        """The machine and the back ends, read once: later the GPU may not answer."""
        return {"environment": ops.environment(), "backends": dict(ops.backends())}

    def refused(self, row: GpuClaim) -> str | None:
        """Why this row is not measured, or None if it can be."""
        return self.disproved(row.kind) or self._unusable(row) or late(row, self.left)

    def disproved(self, kind: str) -> str | None:
        """Why rows of this kind are not worth timing: what they would time is wrong."""
        failed = [
            one["what"]
            for one in self.checks
            if not one["passed"] and one["kind"] in _REFUTED_BY.get(kind, (kind,))
        ]
        return f"it disagrees with fp64: {'; '.join(failed)}" if failed else None

    def as_dict(self) -> dict[str, Any]:
        """The document; what was not reached is in it, too."""
        reason = self.stopped or "not reached yet"
        waiting = (GpuFigure(row, None, reason) for row in self.planned[len(self.rows) :])
        return {
            "schema": SCHEMA,
            "kind": "bench-gpu",
            "version": __version__,
            "complete": self.complete,
            "stopped": self.stopped,
            "seconds": self.seconds,
            "budget_seconds": None if math.isinf(self.budget) else self.budget,
            **self.surroundings,
            "copy": self.copy,
            "checks": self.checks,
            "rows": [one.as_dict() for one in (*self.rows, *waiting)],
        }

    def save(self) -> Path:
        """Writes it, beside the file until it is complete; returns where."""
        with self._lock:
            partial = self.path.with_suffix(".partial.json")
            partial.parent.mkdir(parents=True, exist_ok=True)
            replace_text(partial, json.dumps(_finite(self.as_dict()), indent=1) + "\n")
            return partial.replace(self.path) if self.complete else partial

    def stop(self, reason: str) -> Path:
        """Writes down what there is, from any thread, as not complete; returns where."""
        with self._lock:
            self.stopped, self.complete = reason, False
            return self.save()

    def _unusable(self, row: GpuClaim) -> str | None:
        return None if row.kind in _OWN_PROCESS else self.broken


def replace_text(path: Path, text: str) -> None:
    """Replaces a file, so that whoever is killed meanwhile leaves the former one or this one.

    As `invsearch.runs.files.write_atomic`, whose package takes more than torch to import.
    """
    fresh = path.with_suffix(".new")
    with fresh.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def _finite(value: Any) -> Any:
    """The value with None for what JSON has no number for, at any depth."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
