"""Comparing a run's journal with its logs before any of them is written to.

The journal is the truth. A kill leaves it whole but for its end, and never behind the log: it is
written first. A journal that is damaged inside, lacks a trial or tells another story than the log
was changed by something else, and a search that went on would mix two runs. So everything is read
first, and nothing is changed where it does not fit.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from optuna.trial import TrialState

from invsearch.errors import DiskError, InputError
from invsearch.runs import RunFolder
from invsearch.runs.files import dump_json
from invsearch.runs.trial import Trial

__all__ = ["check_agreement"]

_CREATE_STUDY, _CREATE_TRIAL, _SET_STATE, _SET_USER_ATTR = 0, 4, 6, 8  # Optuna's JournalOperation
_BEGINNING = b'{"op_code"'  # of every line; a torn one has as much of it as there is
# filled in when a trial is logged, which a record made earlier does not have
_WHEN_LOGGED = ("started", "finished", "environment")


def check_agreement(folder: RunFolder) -> None:
    """Refuse a run whose files do not tell one story.

    Args:
        folder: The run, locked by the caller; without a journal there is nothing to compare.

    Raises:
        InputError: With the file and the line that does not fit.
    """
    if not folder.study_path.exists():
        return
    records = _records(folder.study_path)
    for line, trial in enumerate(folder.logged(), start=1):
        where = f"{folder.trials_path}:{line}"
        if trial.number not in records:
            raise InputError(
                f"{where}: trial {trial.number} has not ended in {folder.study_path}, which was "
                "cut or replaced: restore it; the run cannot go on without it"
            )
        changed = _differences(records[trial.number], trial)
        if changed:
            raise InputError(
                f"{where}: trial {trial.number} is another one in {folder.study_path} (they differ "
                f"in {', '.join(changed)}): one of the two was changed or replaced; restore it"
            )
    for path, further in (
        (folder.promotions_path, [trial.number for trial in folder.promotions()]),
        (folder.replicates_path, [replicate.number for replicate in folder.replicates()]),
    ):
        for line, number in enumerate(further, start=1):
            if number not in records:
                raise InputError(
                    f"{path}:{line}: trial {number} has not ended in {folder.study_path}: one of "
                    "the two was changed or replaced; restore it"
                )


def _differences(record: Mapping[str, Any], logged: Trial) -> list[str]:
    """The fields that differ, both read as trials: versions before left some fields unsaid."""
    other = _plain(logged)
    try:
        one = _plain(Trial.from_json(record))
    except (KeyError, TypeError, ValueError, AttributeError):
        one = {}
    return [key for key in other if key not in _WHEN_LOGGED and one.get(key) != other[key]]


def _plain(trial: Trial) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(dump_json(trial.to_json()))
    return data


@dataclass
class _Asked:
    """A trial as a journal tells of it."""

    ended: bool = False
    attributes: dict[str, Any] = field(default_factory=dict)


class _UnfitError(Exception):
    """A line that does not follow from those before it."""


def _records(path: Path) -> dict[int, Mapping[str, Any]]:
    """The records of the trials that have ended, by number."""
    asked: list[_Asked] = []
    numbered: dict[int, int] = {}
    for line, raw in enumerate(_whole_lines(path), start=1):
        try:
            record = _decode(raw)
            if line == 1 and record["op_code"] != _CREATE_STUDY:  # Optuna repeats it at a resume
                raise _UnfitError("the first line is not that of a study")
            number = _follow(record, asked)
            if number is not None and number in numbered:
                raise _UnfitError(f"trial {number} is already on line {numbered[number]}")
            if number is not None:
                numbered[number] = line
        except (_UnfitError, KeyError, TypeError, ValueError, RecursionError) as error:
            raise _damage(path, line, _words(error)) from None
    for place, number in enumerate(sorted(numbered)):
        if number != place:
            raise _damage(path, numbered[number], f"trial {place}, which came before, is missing")
    ended = [
        trial.attributes
        for trial in asked
        if trial.ended and "number" in trial.attributes and "promoted" not in trial.attributes
    ]
    return {data["number"]: data.get("record", {}) for data in ended}


def _whole_lines(path: Path) -> list[bytes]:
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise DiskError.of(error, path, "read") from None
    torn = lines.pop()
    if torn.strip(b"\0") and torn[: len(_BEGINNING)] != _BEGINNING[: len(torn)]:
        raise _damage(path, len(lines) + 1, "not a line of a journal")
    return lines


def _decode(raw: bytes) -> dict[str, Any]:
    record = json.loads(raw)
    if not isinstance(record, dict) or not isinstance(record.get("op_code"), int):
        raise _UnfitError("not a line of a journal")
    return record


def _follow(record: Mapping[str, Any], asked: list[_Asked]) -> int | None:
    """Apply a line; the number that it gives to a trial, if it does."""
    operation = record["op_code"]
    if operation == _CREATE_TRIAL:
        given = dict(record.get("user_attrs") or {})
        asked.append(_Asked(_ended(record.get("state", TrialState.RUNNING)), given))
        return None if "promoted" in given else given.get("number")
    if "trial_id" not in record:
        return None
    place = record["trial_id"]
    if not 0 <= place < len(asked):
        raise _UnfitError(f"tells of trial {place} of the study, which was never begun")
    if asked[place].ended:
        raise _UnfitError(f"changes trial {place} of the study, which has ended")
    if operation == _SET_STATE:
        asked[place].ended = _ended(record["state"])
    if operation != _SET_USER_ATTR:
        return None
    asked[place].attributes |= record["user_attr"]
    number: int | None = record["user_attr"].get("number")
    return number


def _ended(state: int) -> bool:
    return TrialState(state).is_finished()


def _words(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"the field {error} is missing"
    return str(error) if isinstance(error, _UnfitError) else f"not a line of a journal ({error})"


def _damage(path: Path, line: int, why: str) -> InputError:
    return InputError(
        f"{path}:{line}: {why}: the journal was damaged, and only its end may be; restore it from "
        "a copy, the run cannot go on without it"
    )
