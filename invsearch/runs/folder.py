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
from typing import Any, TypeVar

from invsearch.atomic import sync_folder
from invsearch.errors import DiskError, InputError
from invsearch.metrics import Direction
from invsearch.runs.audits import Audit, with_audits
from invsearch.runs.beliefs import Beliefs, believe
from invsearch.runs.columns import BELIEF_COLUMNS, METRIC_COLUMNS, parameter_columns, tested
from invsearch.runs.curves import CurveLog
from invsearch.runs.files import append_lines, dump_json, write_atomic
from invsearch.runs.front import FrontMember, front
from invsearch.runs.lines import LineFile, cut_torn_end, read_lines
from invsearch.runs.lock import hold
from invsearch.runs.mark import ENVIRONMENT, JOURNAL, LOCK, MARK, PARTS, check_place, check_schema
from invsearch.runs.outline import is_mapping, outline
from invsearch.runs.records import parse_audit, parse_replicate, parse_trial
from invsearch.runs.reliability import Reliability, Seeds, reliability, seed_values
from invsearch.runs.replicates import Replicate, fold, with_tests
from invsearch.runs.trial import Trial
from invsearch.space.sources import COPY

__all__ = ["RunFolder"]

NumberedT = TypeVar("NumberedT", Audit, Replicate)


class RunFolder:
    """One run's folder.

    Only the driver writes here, inside :meth:`lock`; reading needs no lock. Nothing is unpickled.

    Args:
        path: The folder; it need not exist.

    Attributes:
        path: The folder.
        curves: What every step of every evaluation brought.
        notices: What the last reading dropped, in words; empty when all was sound.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.curves = CurveLog(self.curves_path)
        self.notices: list[str] = []
        self._written: set[int] | None = None
        self._believed: tuple[Any, Beliefs | None] = (None, None)

    def __repr__(self) -> str:
        return f"RunFolder({str(self.path)!r})"

    @property
    def space_path(self) -> Path:
        return self.path / COPY

    @property
    def environment_path(self) -> Path:
        return self.path / ENVIRONMENT

    @property
    def study_path(self) -> Path:
        return self.path / JOURNAL

    @property
    def trials_path(self) -> Path:
        return self.path / "trials.jsonl"

    @property
    def promotions_path(self) -> Path:
        return self.path / "promotions.jsonl"

    @property
    def replicates_path(self) -> Path:
        return self.path / "replicates.jsonl"

    @property
    def tests_path(self) -> Path:
        return self.path / "tests.jsonl"

    @property
    def audits_path(self) -> Path:
        return self.path / "audits.jsonl"

    @property
    def curves_path(self) -> Path:
        return self.path / "curves.jsonl"

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

    def lock(self, *, elsewhere: bool = True, needed: bool = True) -> AbstractContextManager[None]:
        """Hold the folder for writing; it is made when missing.

        Args:
            elsewhere: Whether another folder would do, so that a refusal should say so.
            needed: Whether a file system that has no locks is refused.

        Raises:
            InputError: On entering, if another process holds it; it names that process's id.
        """
        return hold(self.path / LOCK, elsewhere=elsewhere, needed=needed)

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
            InputError: If the folder holds trials of another space text, or files of others.
            ValueError: If the text and the resolved space disagree.
        """
        check_place(self.path)
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
        write_atomic(self.environment_path, dump_json({**MARK, **known}, indent=2) + "\n")

    def note_end(self, reason: str | None) -> None:
        """Keep in ``environment.json`` why the search ended before its budget was spent, if so."""
        known = self.environment()
        if known.get("ended") != reason:
            write_atomic(
                self.environment_path, dump_json({**known, "ended": reason}, indent=2) + "\n"
            )

    def environment(self) -> dict[str, Any]:
        """Return ``environment.json``; empty where it is missing or has nothing in it.

        Raises:
            InputError: If it is damaged, or a newer version's.
        """
        path = self.environment_path
        raw = _content(path)
        if not raw.strip():
            return {}
        try:
            data = json.loads(raw)
        except (ValueError, RecursionError) as error:
            where = f"{path}:{getattr(error, 'lineno', 1)}"
            raise InputError(f"{where}: not JSON ({_reason(error)}); {_RESTORE}") from None
        if not isinstance(data, dict):
            raise InputError(f"{path}:1: not an object; {_RESTORE}")
        check_schema(data.get("schema"), MARK["schema"], path)
        return data

    def space_text(self) -> str:
        """Return the space file's text; empty where it is missing.

        Raises:
            InputError: If it is no text, or no mapping in YAML.
        """
        path = self.space_path
        raw = _content(path)
        try:
            text = raw.decode()
        except UnicodeDecodeError as error:
            line = raw.count(b"\n", 0, error.start) + 1
            raise InputError(f"{path}:{line}: cannot be read: not UTF-8 text; {_RESTORE}") from None
        if not is_mapping(text):
            raise InputError(f"{path}:1: cannot be read: not a space file; {_RESTORE}")
        return text

    def _read_trials(self) -> LineFile[Trial]:
        seen: dict[int, int] = {}

        def parse(data: Any) -> Trial:
            trial = parse_trial(data)
            if trial.number in seen:
                raise ValueError(f"trial {trial.number} is already on line {seen[trial.number]}")
            seen[trial.number] = len(seen) + 1
            return trial

        return read_lines(self.trials_path, parse)

    def promotions(self) -> list[Trial]:
        """Return what stopped trials came to when they went on, in the order of the log.

        Each line is a trial as it stood then; the last of a number is what it is now.
        """
        return list(read_lines(self.promotions_path, parse_trial).records)

    def _current(self) -> tuple[list[Trial], list[str]]:
        """Every trial in the order of its first line, as it is now, and what reading dropped."""
        log = self._read_trials()
        promoted = read_lines(self.promotions_path, parse_trial)
        now = {trial.number: trial for trial in promoted.records}
        notices = [one.notice for one in (log, promoted) if one.notice]
        return [now.get(trial.number, trial) for trial in log.records], notices

    def logged(self) -> list[Trial]:
        """Return every line of the log as it was written, replicates and promotions left aside.

        Raises:
            InputError: If the log is damaged other than in its last line.
        """
        return list(self._read_trials().records)

    def trials(self) -> list[Trial]:
        """Return every logged trial in the order of the log, as it is known now.

        Promotions, audits and replicates are folded in.

        Raises:
            InputError: If a log is damaged other than in its last line.
        """
        trials = self.first_seeds()
        replicates = read_lines(self.replicates_path, parse_replicate)
        self.notices += [replicates.notice] if replicates.notice else []
        further = _by_number(replicates.records)
        return [fold(trial, further.get(trial.number, ())) for trial in trials]

    def first_seeds(self) -> list[Trial]:
        """Return what :meth:`trials` does, each trial as its own seed left it."""
        trials, self.notices = self._current()
        audits = read_lines(self.audits_path, parse_audit)
        self.notices += [audits.notice] if audits.notice else []
        measured = _by_number(audits.records)
        return [with_audits(trial, measured.get(trial.number, ())) for trial in trials]

    def replicates(self) -> list[Replicate]:
        """Return every logged replicate in the order of the log."""
        return list(read_lines(self.replicates_path, parse_replicate).records)

    def tests(self) -> list[Replicate]:
        """Return what is known on the test set: a line for each training that was judged there.

        Nothing that decides a search reads it.
        """
        return list(read_lines(self.tests_path, parse_replicate).records)

    def append_test(self, test: Replicate) -> None:
        """Log durably how one training did on the test set."""
        cut_torn_end(self.tests_path, read_lines(self.tests_path, parse_replicate))
        append_lines(self.tests_path, dump_json(test.to_json()))

    def audits(self) -> list[Audit]:
        """Return every logged audit in the order of the log."""
        return list(read_lines(self.audits_path, parse_audit).records)

    def append_audits(self, audits: Sequence[Audit]) -> None:
        """Log audits durably, in one write; :meth:`trials` puts them in their trials' place."""
        cut_torn_end(self.audits_path, read_lines(self.audits_path, parse_audit))
        append_lines(self.audits_path, *(dump_json(audit.to_json()) for audit in audits))

    def seeds(self) -> Seeds:
        """Return what each seed of each complete trial reached, by trained metric."""
        return seed_values(self._current()[0], self.replicates())

    def beliefs(
        self, trials: Sequence[Trial], objectives: Mapping[str, Direction]
    ) -> Beliefs | None:
        """Return what is believed of trials of this run; None where what was observed stands.

        The same trials are not modelled twice: a large run's take a second.
        """
        values = [
            (t.number, t.state, *(t.metrics.get(name) for name in objectives)) for t in trials
        ]
        known = (values, dict(objectives))
        if self._believed[0] != known:
            self._believed = known, believe(trials, objectives, self.seeds())
        return self._believed[1]

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
            cut_torn_end(self.trials_path, log)
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

    def append_promotions(self, trials: Sequence[Trial], *, durable: bool = True) -> None:
        """Log what trials came to that had stopped and went on, in one write.

        Args:
            trials: As they stand now.
            durable: Whether to wait until they are on the disk.
        """
        if trials:
            cut_torn_end(self.promotions_path, read_lines(self.promotions_path, parse_trial))
            lines = [dump_json(trial.to_json()) for trial in trials]
            append_lines(self.promotions_path, *lines, durable=durable)

    def sync_trials(self) -> None:
        """Wait until the logged trials and their curves are on the disk."""
        for path in (self.trials_path, self.promotions_path, self.curves_path):
            if path.exists():
                with path.open("rb") as file:
                    os.fsync(file.fileno())
                sync_folder(self.path)

    def append_replicate(self, replicate: Replicate) -> None:
        """Log one replicate durably; :meth:`trials` folds it into its trial's metrics."""
        cut_torn_end(self.replicates_path, read_lines(self.replicates_path, parse_replicate))
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
        beliefs = self.beliefs(trials, objectives)
        members = front(
            [trial for trial in trials if all(name in trial.constraints for name in constraints)],
            objectives,
            beliefs=beliefs,
            seed=seed,
        )
        judged = {trial.number: trial for trial in with_tests(trials, self.tests())}
        seeds = self.seeds()
        told = {name: reliability(seeds.get(name, {}).values()) for name in objectives}
        content = _front_csv(members, judged, objectives, told, beliefs)
        write_atomic(self.front_path, content, durable=durable)
        return members


# What is missing is written anew; what is damaged may be somebody's work, or tell what happened.
_RESTORE = "restore it, or remove it and resume the run, which writes it again"


def _by_number(records: Iterable[NumberedT]) -> dict[int, list[NumberedT]]:
    found: dict[int, list[NumberedT]] = {}
    for record in records:
        found.setdefault(record.number, []).append(record)
    return found


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise DiskError.of(error, path, "read") from None


def _reason(error: Exception) -> str:
    return getattr(error, "msg", None) or "nested too deeply or not UTF-8 text"


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
    members: Sequence[FrontMember],
    trials: Mapping[int, Trial],
    objectives: Mapping[str, Direction],
    reliabilities: Mapping[str, Reliability | None],
    beliefs: Beliefs | None,
) -> str:
    columns = parameter_columns(list(trials.values()))
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    metric_columns = [f"{name}{suffix}" for name in objectives for suffix in METRIC_COLUMNS]
    tests = tested(objectives, [trials[member.trial.number] for member in members])
    test_columns = [f"{name}{suffix}" for name in tests for suffix in METRIC_COLUMNS]
    told = {name: one for name, one in reliabilities.items() if one is not None}
    of_all = [cell for one in told.values() for cell in (one.seed_sd, one.value, one.verdict)]
    heads = [f"{name}_{what}" for name in told for what in ("seed_sd", "reliability", "verdict")]
    if beliefs is not None:
        test_columns += [f"{name}{suffix}" for name in objectives for suffix in BELIEF_COLUMNS]
    writer.writerow(["trial", *columns.values(), *metric_columns, "p_front", *test_columns, *heads])
    for member in members:
        trial = trials[member.trial.number]
        row: list[object] = [trial.number]
        row += [trial.architecture.get(name, "") for name in columns]
        row += [cell for name in objectives for cell in _cells(trial, name)]
        row.append(f"{member.p_front:.4g}")
        row += [cell for name in tests for cell in _cells(trial, name)]
        if beliefs is not None:
            believed = beliefs.of(trial.number)
            row += [
                cell if name in beliefs.uncertain else trial.metrics[name].value
                for name in objectives
                for cell in believed[name].to_json().values()
            ]
        writer.writerow([*row, *of_all])
    return buffer.getvalue()


def _cells(trial: Trial, name: str) -> list[object]:
    """A metric's columns; empty where the trial has it not."""
    metric = trial.metrics.get(name)
    if metric is None:
        return [""] * len(METRIC_COLUMNS)
    return [metric.value, metric.low, metric.high, metric.source]
