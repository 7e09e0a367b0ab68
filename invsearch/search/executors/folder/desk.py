"""The driver's desk: who drives a run, whether anybody else does, and what workers are to know."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from invsearch.atomic import write_atomic
from invsearch.errors import InputError
from invsearch.search.executors.folder.heart import BEATS_A_LEASE, Heart
from invsearch.search.executors.folder.place import PROTOCOL, Place, read, write

if TYPE_CHECKING:
    from invsearch.space import SpaceFile

__all__ = ["AWAY", "OVER", "SEARCHING", "Desk"]

SEARCHING, OVER, AWAY = "searching", "over", "away"
_LOOK_S = 0.2  # between two looks at another driver's beat


class Desk:
    """What the driver says of itself, in ``driver.json``.

    Args:
        place: The run's folder of workers.
        space_file: What is searched, settings applied.
        lease_s: Seconds without a sign of life after which a worker is lost.

    Attributes:
        space: A digest of what workers are told to evaluate.
        displaced: Whether another driver has taken the run over.
    """

    def __init__(self, place: Place, space_file: SpaceFile, lease_s: float) -> None:
        self._place, self._lease_s = place, lease_s
        self._driver, self._beats = secrets.token_hex(8), 0
        self._state, self._reason = SEARCHING, ""
        self._text, self._settings = space_file.text, _settings(space_file)
        told = json.dumps([self._text, self._settings]).encode()
        self.space = hashlib.sha256(told).hexdigest()[:16]
        self.displaced = False

    @contextmanager
    def held(self, say: Callable[[str], None]) -> Iterator[Desk]:
        """Drive the run for the length of a ``with`` block; it ends as :meth:`close` said.

        Raises:
            InputError: If a driver on another machine does.
        """
        self._place.root.mkdir(parents=True, exist_ok=True)
        self._wait_for_another(say)
        write_atomic(self._place.space, self._text, durable=False)
        self._state = SEARCHING
        write(self._place.driver, self._told())  # a disk that does not take it ends the search
        try:
            with Heart(self._lease_s / BEATS_A_LEASE, self._beat):
                try:
                    yield self
                except BaseException:
                    self._state = AWAY
                    raise
        finally:
            with suppress(OSError):
                self._beat()

    def close(self, reason: str) -> None:
        """The search is over: workers may go."""
        self._state, self._reason = OVER, reason

    def check(self) -> None:
        """Check that nobody else drives.

        Raises:
            InputError: If the run was taken over.
        """
        if self.displaced:
            other = read(self._place.driver) or {}
            raise InputError(
                f"{self._place.run} was taken over by a driver on {other.get('host')}, to which "
                "this one had seemed lost: it goes on there"
            )

    def _beat(self) -> None:
        there = read(self._place.driver)
        if there is not None and there.get("driver") != self._driver:
            self.displaced = True
            return
        self._beats += 1
        write(self._place.driver, self._told())

    def _told(self) -> dict[str, Any]:
        return {
            "protocol": PROTOCOL,
            "driver": self._driver,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "beat": self._beats,
            "state": self._state,
            "reason": self._reason,
            "lease_s": self._lease_s,
            "space": self.space,
            "settings": self._settings,
        }

    def _wait_for_another(self, say: Callable[[str], None]) -> None:
        """See whether another machine's driver lives: the lock on a folder may not reach there."""
        before = read(self._place.driver)
        if before is None or before.get("state") != SEARCHING:
            return
        if before.get("host") == socket.gethostname():  # whose lock would have kept us off
            return
        say(f"looking for {self._lease_s:g} s whether the driver on {before['host']} still lives")
        until = time.monotonic() + self._lease_s
        while time.monotonic() < until:
            now = read(self._place.driver) or before
            if (now["driver"], now["beat"]) != (before["driver"], before["beat"]):
                if now["state"] == SEARCHING:
                    raise InputError(
                        f"{self._place.run} is in use by a driver on {now['host']} (process "
                        f"{now['pid']}): wait until it ends"
                    )
                return
            time.sleep(_LOOK_S)


def _settings(space_file: SpaceFile) -> list[str]:
    """What a text says relative to where it was read, as settings that hold anywhere."""
    accuracy = space_file.accuracy
    if accuracy is None or accuracy.folder is None:
        return []
    return [f"accuracy.folder={json.dumps(accuracy.folder)}"]
