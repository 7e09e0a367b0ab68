"""Which trial this process was evaluating when it died.

An evaluation in the driver's own process can end it: ``os._exit``, a crash of native code, memory.
The mark lets the next start evaluate that trial apart, where its end is that trial's alone; else
every resume would die at the same one.
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["Underway"]

_NAME = ".evaluating"


class Underway:
    """The mark in a run's folder. It need not outlive a power cut, so nothing waits for the disk.

    Args:
        folder: The run's.

    Attributes:
        suspect: Number of the trial during which the process died that evaluated here before; None
            if it did not.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / _NAME
        self.suspect = _number(self._path)

    def mark(self, number: int) -> None:
        """An evaluation in this process begins."""
        self._path.write_text(str(number), encoding="ascii")

    def clear(self) -> None:
        """It is over."""
        self._path.unlink(missing_ok=True)


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
