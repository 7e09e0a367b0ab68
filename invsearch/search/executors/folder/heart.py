"""A heart: something done again and again, whatever the rest of the process waits for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

__all__ = ["BEATS_A_LEASE", "Heart"]

BEATS_A_LEASE = 10  # several may be lost, to a slow disk or a busy machine, before anybody is


class Heart:
    """Beats in a thread as long as a ``with`` block lasts.

    Args:
        every_s: Seconds between two beats.
        beat: What a beat does. A disk that takes it not may take the next.

    Attributes:
        alone: Held while it beats.
    """

    def __init__(self, every_s: float, beat: Callable[[], None]) -> None:
        self._every_s, self._beat = every_s, beat
        self._over = threading.Event()
        self.alone = threading.Lock()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self.beat()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()

    def beat(self) -> bool:
        """Beat now; whether the disk took it."""
        with self.alone:
            try:
                self._beat()
            except OSError:
                return False
        return True

    def _run(self) -> None:
        while not self._over.wait(self._every_s):
            self.beat()
