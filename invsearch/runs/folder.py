"""RunFolder: a run on disk, written so that a kill loses only what was in flight."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, get_args

from invsearch.atomic import sync_folder
from invsearch.errors import InputError
from invsearch.metrics import Direction
from invsearch.runs.columns import METRIC_COLUMNS, parameter_columns
from invsearch.runs.files import append_lines, dump_json, write_atomic
from invsearch.runs.front import FrontMember, front
from invsearch.runs.lines import LineFile, read_lines
from invsearch.runs.lock import hold
from invsearch.runs.outline import outline
from invsearch.runs.replicates import Replicate, fold
from invsearch.runs.trial import SCHEMA, Origin, State, Trial

__all__ = ["RunFolder"]

PARTS = (
    "space.yaml",
    "environment.json",
    "study.journal",
    "trials.jsonl",
    "replicates.jsonl",
    "front.csv",
    "latency_table.json",
    "checkpoints",
)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _check_record(data: Any) -> None:
    """Raise where a decoded line cannot be a trial or a replicate of this schema."""
    if not isinstance(data, Mapping):
        raise ValueError("not an object")
    if data["schema"] != SCHEMA:
        raise ValueError(f"schema {data['schema']!r} is not the {SCHEMA} that this version reads")
    number = data["number"]
    if not isinstance(number, int) or isinstance(number, bool) or number < 0:
        raise ValueError(f"the trial number {number!r} is not a whole number from 0")
    for name, metric in data["metrics"].items():
        if not _is_number(metric["value"]):
            raise ValueError(f"the value of {name!r} is not a number: {metric['value']!r}")
        for end in (metric.get("low"), metric.get("high")):
            if end is not None and not _is_number(end):
                raise ValueError(f"the interval of {name!r} is not made of numbers: {end!r}")


def _parse_trial(data: Any) -> Trial:
    _check_record(data)
    for field, allowed in (("state", get_args(State)), ("origin", get_args(Origin))):
        if data[field] not in allowed:
            raise ValueError(f"{field} is {data[field]!r}, not one of {', '.join(allowed)}")
    if not all(_is_number(value) for value in data["constraints"].values()):
        raise ValueError("a constraint is not a number")
    return Trial.from_json(data)


def _parse_replicate(data: Any) -> Replicate:
    _check_record(data)
    return Replicate.from_json(data)


class RunFolder:
    """One run's folder.

    Only the driver writes here, inside :meth:`lock`; reading needs no lock. Nothing is unpickled.

    Args:
        path: The folder; it need not exist.

    Attributes:
        path: The folder.
        notices: What the last reading dropped, in words; empty when all was sound.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.notices: list[str] = []
        self._written: set[int] | None = None

    def __repr__(self) -> str:
        return f"RunFolder({str(self.path)!r})"

    @property
    def space_path(self) -> Path:
        return self.path / "space.yaml"

    @property
    def environment_path(self) -> Path:
        return self.path / "environment.json"

    @property
    def study_path(self) -> Path:
        return self.path / "study.journal"

    @property
    def trials_path(self) -> Path:
        return self.path / "trials.jsonl"

    @property
    def replicates_path(self) -> Path:
        return self.path / "replicates.jsonl"

    @property
    def front_path(self) -> Path:
        return self.path / "front.csv"

    @property
    def latency_table_path(self) -> Path:
        return self.path / "latency_table.json"

    def checkpoint_dir(self, number: int) -> Path:
        """Return where the workers of a trial keep its checkpoints; it may not exist."""
        return self.path / "checkpoints" / str(number)

    @property
    def exists(self) -> bool:
        """Whether the folder holds any part of a run."""
        return any((self.path / part).exists() for part in PARTS)

    @property
    def half_made(self) -> bool:
        """Whether a kill left the folder with some parts and without what :meth:`create` writes."""
        made = self.space_path.exists() and self.environment_path.exists()
        return self.exists and not made

    @property
    def holds_trials(self) -> bool:
        """Whether any trial was logged."""
        return self.trials_path.exists() and self.trials_path.stat().st_size > 0

    def lock(self, *, elsewhere: bool = True) -> AbstractContextManager[None]:
        """Hold the folder for writing; it is made when missing.

        Args:
            elsewhere: Whether another folder would do, so that a refusal should say so.

        Raises:
            InputError: On entering, if another process holds it; it names that process's id.
        """
        return hold(self.path / ".lock", elsewhere=elsewhere)

    def create(
        self,
        space_text: str,
        resolved: Mapping[str, Any] | None = None,
        environment: Mapping[str, Any] | None = None,
        *,
        command: Sequence[str] = (),
    ) -> None:
        """Make the folder, or finish one that a kill left half-made.

        Args:
            space_text: The space file's text, with overrides applied.
            resolved: The resolved space; its objectives must be the text's, or the text is not
                what is searched.
            environment: What :func:`invsearch.runs.describe` returned.
            command: The arguments of the command that started the run, for the report.

        Raises:
            InputError: If the folder holds trials of another space text.
            ValueError: If the text and the resolved space disagree.
        """
        _check_agreement(space_text, resolved)
        if self.holds_trials and self.space_path.exists() and self.space_text() != space_text:
            raise InputError(
                f"{self.path} holds trials of another space (see {self.space_path}): choose"
                " another folder with --out"
            )
        self.path.mkdir(parents=True, exist_ok=True)
        self.add_environment(environment or {}, command=command)
        write_atomic(self.space_path, space_text)

    def add_environment(
        self, environment: Mapping[str, Any], *, command: Sequence[str] = ()
    ) -> None:
        """Record an environment that trials of the run ran in.

        ``environment.json`` holds the first one's fields, the others under ``further`` by id, and
        the last ``command`` that was given.
        """
        known = self.environment()
        if not known or not known.get("id"):
            known = {**known, **environment}
        elif environment.get("id") not in (None, known["id"]):
            known["further"] = {
                **known.get("further", {}),
                str(environment["id"]): dict(environment),
            }
        if command:
            known["command"] = list(command)
        write_atomic(self.environment_path, dump_json(known, indent=2) + "\n")

    def environment(self) -> dict[str, Any]:
        """Return ``environment.json``; empty where it is missing or was never finished."""
        try:
            data = json.loads(self.environment_path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return data if isinstance(data, dict) else {}

    def space_text(self) -> str:
        """Return the space file's text; empty where it is missing."""
        try:
            return self.space_path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return ""
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{self.space_path}: cannot be read: {error}") from None

    def _read_trials(self) -> LineFile[Trial]:
        seen: dict[int, int] = {}

        def parse(data: Any) -> Trial:
            trial = _parse_trial(data)
            if trial.number in seen:
                raise ValueError(f"trial {trial.number} is already on line {seen[trial.number]}")
            seen[trial.number] = len(seen) + 1
            return trial

        return read_lines(self.trials_path, parse)

    def trials(self) -> list[Trial]:
        """Return every logged trial in the order of the log, replicates folded in.

        Raises:
            InputError: If a log is damaged other than in its last line.
        """
        log = self._read_trials()
        replicates = read_lines(self.replicates_path, _parse_replicate)
        self.notices = [notice for notice in (log.notice, replicates.notice) if notice]
        by_number: dict[int, list[Replicate]] = {}
        for replicate in replicates.records:
            by_number.setdefault(replicate.number, []).append(replicate)
        return [fold(trial, by_number.get(trial.number, ())) for trial in log.records]

    def replicates(self) -> list[Replicate]:
        """Return every logged replicate in the order of the log."""
        return list(read_lines(self.replicates_path, _parse_replicate).records)

    def append_trials(self, trials: Sequence[Trial], *, durable: bool = True) -> None:
        """Log trials in one write; a torn last line is cut first.

        Args:
            trials: The trials, none of them logged before.
            durable: Whether to wait until they are on the disk; a search does not, since its study
                is there and :meth:`sync_trials` follows.

        Raises:
            ValueError: If a trial's number is already logged, or a constraint is not finite.
        """
        # not known again before all is written: an interrupted write has the log read anew
        written, self._written = self._written, None
        if written is None:
            log = self._read_trials()
            _cut(self.trials_path, log)
            written = {logged.number for logged in log.records}
        for trial in trials:
            for name, excess in trial.constraints.items():
                if not math.isfinite(excess):
                    raise ValueError(f"constraint {name!r} of trial {trial.number} is {excess}")
            if trial.number in written:
                raise ValueError(f"trial {trial.number} is already in {self.trials_path}")
            written.add(trial.number)
        if trials:
            lines = [dump_json(trial.to_json()) for trial in trials]
            append_lines(self.trials_path, *lines, durable=durable)
        self._written = written

    def sync_trials(self) -> None:
        """Wait until the logged trials are on the disk."""
        if self.trials_path.exists():
            with self.trials_path.open("rb") as file:
                os.fsync(file.fileno())
            sync_folder(self.path)

    def append_replicate(self, replicate: Replicate) -> None:
        """Log one replicate durably; :meth:`trials` folds it into its trial's metrics."""
        _cut(self.replicates_path, read_lines(self.replicates_path, _parse_replicate))
        append_lines(self.replicates_path, dump_json(replicate.to_json()))

    def write_front(
        self,
        trials: Sequence[Trial],
        objectives: Mapping[str, Direction],
        constraints: Collection[str] = (),
        *,
        seed: int = 0,
        durable: bool = True,
    ) -> list[FrontMember]:
        """Derive ``front.csv`` anew and return its members.

        Args:
            trials: The run's trials.
            objectives: Direction by metric.
            constraints: Names that a member must have been judged by.
            seed: Seed of the draws behind ``p_front``.
            durable: Whether to wait until it is on the disk.
        """
        members = front(
            [trial for trial in trials if all(name in trial.constraints for name in constraints)],
            objectives,
            seed=seed,
        )
        write_atomic(self.front_path, _front_csv(members, trials, objectives), durable=durable)
        return members


def _cut(path: Path, log: LineFile[Any]) -> None:
    """Remove the torn end of a log."""
    if log.notice is None:
        return
    with path.open("r+b") as file:
        file.truncate(log.sound_bytes)
        os.fsync(file.fileno())


def _check_agreement(text: str, resolved: Mapping[str, Any] | None) -> None:
    if resolved is None:
        return
    written = dict(outline(text).objectives)
    if resolved.get("objectives", written) != written:
        raise ValueError(
            f"the space text has the objectives {written}, the resolved space"
            f" {resolved['objectives']}"
        )


def _front_csv(
    members: Iterable[FrontMember], trials: Sequence[Trial], objectives: Mapping[str, Direction]
) -> str:
    columns = parameter_columns(trials)
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    metric_columns = [f"{name}{suffix}" for name in objectives for suffix in METRIC_COLUMNS]
    writer.writerow(["trial", *columns.values(), *metric_columns, "p_front"])
    for member in members:
        trial = member.trial
        row: list[object] = [trial.number]
        row += [trial.architecture.get(name, "") for name in columns]
        for name in objectives:
            metric = trial.metrics[name]
            row += [metric.value, metric.low, metric.high, metric.source]
        writer.writerow([*row, f"{member.p_front:.4g}"])
    return buffer.getvalue()
