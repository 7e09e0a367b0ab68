"""The journal file of a run's Optuna study: its records, and what is cut from it after a kill.

The records are those of Optuna's ``JournalStorage``, which reads the file as its own; so do
Optuna's command line and its dashboard. One record may hold a whole trial.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.storages.journal import JournalFileOpenLock
from optuna.trial import FrozenTrial, TrialState

__all__ = [
    "CREATE_STUDY",
    "CREATE_TRIAL",
    "DELETE_STUDY",
    "SET_INTERMEDIATE_VALUE",
    "SET_PARAM",
    "SET_STATE",
    "SET_STUDY_SYSTEM_ATTR",
    "SET_STUDY_USER_ATTR",
    "SET_SYSTEM_ATTR",
    "SET_USER_ATTR",
    "FolderIsLocked",
    "created",
    "ended",
    "mend_journal",
]

# Optuna's JournalOperation, which is private; the numbers are those of files that exist
CREATE_STUDY, DELETE_STUDY, SET_STUDY_USER_ATTR, SET_STUDY_SYSTEM_ATTR = 0, 1, 2, 3
CREATE_TRIAL, SET_PARAM, SET_STATE, SET_INTERMEDIATE_VALUE = 4, 5, 6, 7
SET_USER_ATTR, SET_SYSTEM_ATTR = 8, 9


def created(trial: FrozenTrial, study_id: int, distributions: Mapping[str, str]) -> dict[str, Any]:
    """The one record of a trial with all that it holds.

    Args:
        trial: The trial, in any state.
        study_id: Its study in the file.
        distributions: The text of each parameter's distribution.
    """
    values = trial.values
    single = values is not None and len(values) == 1
    record: dict[str, Any] = {
        "op_code": CREATE_TRIAL,
        "study_id": study_id,
        "state": trial.state,
        "value": values[0] if values is not None and single else None,
        "values": None if single else values,
        "datetime_start": _utc(trial.datetime_start),
        "distributions": distributions,
        "params": {
            name: _internal(trial.distributions[name], value)
            for name, value in trial.params.items()
        },
        "user_attrs": trial.user_attrs,
        "system_attrs": trial.system_attrs,
        "intermediate_values": trial.intermediate_values,
    }
    if trial.datetime_complete is not None:
        record["datetime_complete"] = _utc(trial.datetime_complete)
    return record


def ended(trial: FrozenTrial) -> dict[str, Any]:
    """The record of the state that a trial has come to."""
    record: dict[str, Any] = {
        "op_code": SET_STATE,
        "trial_id": trial._trial_id,
        "state": trial.state,
        "values": trial.values,
    }
    if trial.state == TrialState.RUNNING:
        record["datetime_start"] = _utc(trial.datetime_start)
    elif trial.state.is_finished():
        record["datetime_complete"] = _utc(trial.datetime_complete)
    return record


def _internal(distribution: BaseDistribution, value: Any) -> float:
    return float(distribution.to_internal_repr(value))


def _utc(time: datetime | None) -> str | None:
    """Optuna's times are local and do not say so."""
    return None if time is None else time.astimezone(UTC).isoformat(timespec="microseconds")


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
        if operation == CREATE_TRIAL:
            trial, trials = trials, trials + 1
        begins = operation in (CREATE_TRIAL, SET_STATE) and state == TrialState.RUNNING
        if begins and settled not in record.get("user_attrs", {}):
            running, begin = trial, position
        elif trial == running and (
            operation == SET_STATE or settled in record.get("user_attr", {})
        ):
            running, begin = -1, len(data)
        position += len(line)
    return begin


class FolderIsLocked(JournalFileOpenLock):
    """No lock: the caller holds that of the folder.

    A stale link of Optuna's own lock would stall the next start for 30 s.
    """

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        """Nothing to release."""
