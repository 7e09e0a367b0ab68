"""The journal file of a run's Optuna study, mended after a kill."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import TrialState

__all__ = ["JournalFile", "mend_journal"]

_CREATE_TRIAL, _SET_STATE, _SET_USER_ATTR = 4, 6, 8  # Optuna's JournalOperation


def mend_journal(path: Path, settled: str) -> None:
    """Cut a journal back to its last whole line, and to before an ask that a kill cut short.

    A kill can tear the last line. Optuna would load the file, glue its next record onto the torn
    line and lose the study. A trial whose asking was cut short would stand in the way of asking it
    again just as before: its records, the last in the file, go as well.

    Args:
        path: The journal; it may be missing.
        settled: The user attribute that a trial gets last when it is asked.
    """
    if not path.exists():
        return
    data = path.read_bytes()
    whole = _unsettled(data[: data.rfind(b"\n") + 1], settled)
    if whole < len(data):
        with path.open("r+b") as file:
            file.truncate(whole)


def _unsettled(data: bytes, settled: str) -> int:
    """Where the records of a trial begin that runs without the attribute; else the end."""
    trials, running, begin, position = 0, -1, len(data), 0
    for line in data.splitlines(keepends=True):
        try:
            record = json.loads(line)
        except ValueError:
            return len(data)  # Optuna says which line is damaged
        operation, trial = record["op_code"], record.get("trial_id", -1)
        state = record.get("state", TrialState.RUNNING)
        if operation == _CREATE_TRIAL:
            trial, trials = trials, trials + 1
        if operation in (_CREATE_TRIAL, _SET_STATE) and state == TrialState.RUNNING:
            running, begin = trial, position
        elif trial == running and (
            operation == _SET_STATE or settled in record.get("user_attr", {})
        ):
            running, begin = -1, len(data)
        position += len(line)
    return begin


class JournalFile(JournalFileBackend):
    """Optuna's journal file, which can wait for the disk once for many records.

    It takes no lock: the caller holds the lock of the folder, and a stale link of Optuna's would
    stall the next start for 30 s.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), lock_obj=_FolderIsLocked(str(path)))
        self._path = path
        self._waits = True

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        if self._waits:
            super().append_logs(logs)
            return
        with self._path.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(log, separators=(",", ":")) + "\n" for log in logs)

    @contextmanager
    def one_sync(self) -> Iterator[None]:
        """Wait for the disk once, at the end."""
        self._waits = False
        try:
            yield
        finally:
            self._waits = True
            with self._path.open("rb") as file:
                os.fsync(file.fileno())


class _FolderIsLocked(JournalFileOpenLock):
    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        """Nothing to release."""
