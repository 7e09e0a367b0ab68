"""A worker as the driver sees it: its beats, its messages, the lease that it has."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from invsearch.search.executors.folder.place import read, remove, write
from invsearch.search.proposal import Proposal

__all__ = ["Lease", "Seen"]


@dataclass
class Lease:
    """One trial in a worker's hands.

    Attributes:
        path: Its folder.
        task: What the worker was told.
        proposal: What the session asked for; None of a lease that an earlier driver gave, as long
            as the session has not asked for that trial again.
        decisions: By step, whether the trial stops there.
        step: How far it is.
        heard: Bytes of its messages that were taken in.
    """

    path: Path
    task: Mapping[str, Any]
    proposal: Proposal | None
    decisions: dict[str, bool]
    step: int = 0
    heard: int = 0

    @property
    def key(self) -> tuple[int, int, int | None]:
        """What no two evaluations that are under way share."""
        return self.task["task"]["number"], self.task["task"]["seed"], self.task["promoted"]

    def news(self, said: int | None = None) -> list[dict[str, Any]]:
        """The messages that have come since the last time.

        Args:
            said: How far the worker says that they go; None for all that is there.
        """
        if said is not None and said <= self.heard:
            return []
        try:
            with (self.path / "messages.jsonl").open("rb") as file:
                file.seek(self.heard)
                data = file.read() if said is None else file.read(said - self.heard)
            data = data[: data.rfind(b"\n") + 1]
            found = [json.loads(line) for line in data.splitlines()]
        except (OSError, ValueError):  # not all of it has come through yet
            return []
        self.heard += len(data)
        return found


class Seen:
    """A worker.

    Args:
        path: Its folder.

    Attributes:
        name: Which it is, for people.
        info: What it said of itself.
        lease: What it has.
        left: Whether it has said that it is gone.
        silent_s: Seconds since its last sign of life, of the time in which the driver looked.
        said: How far the messages of its lease go.
        refused: Why it gets nothing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.info = read(path / "worker.json") or {}
        self.name = str(self.info.get("name", path.name))
        self.lease: Lease | None = None
        self.left = False
        self.silent_s = 0.0
        self.said = 0
        self.refused = ""
        self._beat: Any = None

    def look(self, passed_s: float) -> None:
        """Read its pulse.

        Args:
            passed_s: How long ago the last look was.
        """
        pulse = read(self.path / "pulse.json") or {}
        self.silent_s += passed_s
        if pulse and pulse.get("beat") != self._beat:
            self._beat, self.silent_s = pulse.get("beat"), 0.0
        self.left = bool(pulse.get("left"))
        mine = self.lease is not None and pulse.get("lease") == self.lease.path.name
        self.said = int(pulse.get("said", 0)) if mine else 0

    def inherit(self) -> Lease | None:
        """The lease that an earlier driver gave it, if it has one."""
        orders = read(self.path / "orders.json") or {}
        path = self.path / str(orders.get("lease"))
        task = read(path / "task.json") if orders.get("lease") else None
        if task is not None:
            self.lease = Lease(path, task, None, dict(orders.get("decisions", {})))
        return self.lease

    def order(self, leave: str = "") -> None:
        """Tell it what it has, what was decided, and whether it is to go.

        A worker whose folder is gone is gone itself.
        """
        lease = self.lease
        orders = {
            "lease": None if lease is None else lease.path.name,
            "decisions": {} if lease is None else lease.decisions,
            "leave": leave,
        }
        if self.path.is_dir():
            write(self.path / "orders.json", orders)

    def forget(self) -> None:
        """Remove its folder."""
        remove(self.path)
