"""A worker's pulse: what it leaves for the driver, and how it hears that its lease is over."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from invsearch.search.executors.folder.heart import BEATS_A_LEASE, Heart
from invsearch.search.executors.folder.place import read, write

__all__ = ["Pulse"]


class Pulse(Heart):
    """Writes ``pulse.json``, and looks whether the lease still stands.

    Args:
        folder: The worker's.
        lease_s: Seconds without a sign of life after which it is lost.
        on_lost: Called, in a thread of its own, when the lease is over.
    """

    def __init__(self, folder: Path, lease_s: float, on_lost: Callable[[], None]) -> None:
        super().__init__(lease_s / BEATS_A_LEASE, self._sign)
        self._folder, self._on_lost = folder, on_lost
        self._beats = self._said = 0
        self._left = self._watches = False
        self._lease: str | None = None
        self.lost = threading.Event()

    def hold(self, lease: str) -> None:
        """Watch over a lease from now on."""
        with self.alone:
            self._lease, self._said, self._watches = lease, 0, True
            self.lost.clear()

    def rest(self) -> None:
        """Nothing is evaluated any more: that the lease ends is no loss."""
        with self.alone:
            self._watches = False

    def say(self, said: int) -> bool:
        """Tell how far the messages of the lease go; whether the disk took it."""
        self._said = said
        return self.beat()

    def leave(self) -> bool:
        """Tell that the worker goes; whether the disk took it."""
        self._left = True
        return self.beat()

    def orders(self) -> Mapping[str, Any]:
        """What the driver wants; nothing new where that cannot be read now."""
        if not self._folder.is_dir():
            return {"lease": None, "decisions": {}, "leave": "", "gone": True}
        return read(self._folder / "orders.json") or {"lease": self._lease}

    @property
    def free(self) -> bool:
        """Whether the driver has given it nothing."""
        return self.orders().get("lease") is None

    def stands(self) -> bool:
        """Whether the lease is still this worker's."""
        if self.orders().get("lease") != self._lease:
            self.lost.set()
        return not self.lost.is_set()

    def _sign(self) -> None:
        if self._watches and not self.stands():
            self._on_lost()
        self._beats += 1
        data = {"beat": self._beats, "lease": self._lease, "said": self._said, "left": self._left}
        write(self._folder / "pulse.json", data)
