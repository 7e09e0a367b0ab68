"""Points of the user's own: queued for a run, read from a table, or taken over from another run."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from invsearch.errors import DiskError, InputError, nearest
from invsearch.problem.problem import Problem
from invsearch.runs import Replicate, RunFolder, Trial, load_run
from invsearch.runs.files import append_lines
from invsearch.runs.load import find_run
from invsearch.space import SpaceFile, load_space_file
from invsearch.space.architecture import Architecture, Value
from invsearch.space.load import without_places
from invsearch.space.space import Space
from invsearch.space.yaml_file import parse

__all__ = ["Brought", "Queue", "brought", "enqueue", "values_of"]

QUEUE = "queue.jsonl"
_SHOWN = 3  # reasons that are told of what is left out: more is no reading


@dataclass
class Brought:
    """What a search is given before it asks its strategy.

    Attributes:
        results: Finished trials of another run, of architectures of this space, each with its
            further seeds.
        points: Architectures to be evaluated, by what they are known by in the study.
        told: What was taken and what was left out, in words.
        environments: Those that the results are of.
    """

    results: list[tuple[Trial, list[Replicate]]] = field(default_factory=list)
    points: dict[str, Architecture] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)
    environments: list[dict[str, Any]] = field(default_factory=list)


class Queue:
    """The points that ``invsearch enqueue`` left in a run folder, for the search that goes on.

    Lines are appended by one process and read by another, a whole line at a time.
    """

    def __init__(self, folder: Path, space: Space) -> None:
        self._path, self._space = folder / QUEUE, space
        self._read = self._lines = 0

    def news(self) -> dict[str, Architecture]:
        """What was queued since the last time; what does not fit the space is passed over."""
        try:
            if not self._path.exists() or self._path.stat().st_size == self._read:
                return {}
            data = self._path.read_bytes()[self._read :]
        except OSError as error:
            raise DiskError.of(error, self._path, "read") from error
        whole = data[: data.rfind(b"\n") + 1]
        found = {}
        for line in whole.splitlines():
            self._lines += 1
            try:
                found[f"queue:{self._lines}"] = self._space.canonical(json.loads(line))
            except (ValueError, TypeError, AttributeError, InputError):
                # of a space that has changed, or damaged
                continue
        self._read += len(whole)
        return found


def enqueue(folder: RunFolder, space: Space, values: Mapping[str, Value]) -> Architecture:
    """Leave a point in a run folder, which a search that is going on, or is resumed, evaluates.

    Raises:
        InputError: If the space has no such point.
        DiskError: If it cannot be written.
    """
    architecture = _checked(space, values)
    path = folder.path / QUEUE
    try:
        # an empty line ends one that a kill tore; it is not cut off, for a search may be reading
        torn = path.is_file() and path.read_bytes()[-1:] not in (b"", b"\n")
        append_lines(path, *[""] * torn, json.dumps(architecture.to_json()))
    except OSError as error:
        raise DiskError.of(error, path, "written") from error
    return architecture


def values_of(space: Space, settings: Sequence[str], like: Mapping[str, Value]) -> dict[str, Value]:
    """Read ``NAME=VALUE`` as values of parameters.

    Args:
        space: The space.
        settings: ``NAME=VALUE`` each.
        like: Values of those that are not named.

    Raises:
        InputError: If one is written otherwise, or names no parameter.
    """
    given: dict[str, Value] = {}
    for setting in settings:
        name, equals, written = setting.partition("=")
        if not equals:
            raise InputError(f"--set {setting}: write --set NAME=VALUE")
        name = name.strip()
        if name not in space.names:
            raise InputError(
                f"--set {setting}: the space has no parameter {name!r}{nearest(name, space.names)}"
            )
        if name in given:
            raise InputError(f"--set {setting}: {name} is given twice")
        given[name] = parse(written, "value").value
    known = {name: value for name, value in like.items() if name in space.names}
    return {**known, **given}


def brought(problem: Problem, sources: Sequence[str]) -> Brought:
    """Read what ``--import`` names: tables ``*.csv`` of points, and runs.

    Raises:
        InputError: If one cannot be read.
    """
    found = Brought()
    for source in sources:
        if source.lower().endswith(".csv"):
            _add_table(found, problem, Path(source))
        else:
            _add_run(found, problem, source)
    return found


def _add_table(found: Brought, problem: Problem, path: Path) -> None:
    """Every row whose columns are a point; other columns are what somebody else knows of it."""
    space = problem.space
    rows = list(_rows(path))
    unknown = sorted({name for row in rows for name in row} - {*space.names})
    if rows and not {*space.names} & rows[0].keys():
        raise InputError(f"{path}: no column is a parameter; parameters: {', '.join(space.names)}")
    if not rows:
        raise InputError(f"{path} has no points: a header of parameters, then a row a point")
    taken = 0
    for number, row in enumerate(rows, 2):  # 1 is the header's
        values = {name: _value(text) for name, text in row.items() if name in space.names and text}
        try:
            architecture = _checked(space, values)
        except InputError as error:
            raise InputError(f"{path}:{number}: {error}") from error
        found.points.setdefault(f"table:{architecture.key}", architecture)
        taken += 1
    aside = f"; left out: the columns {', '.join(unknown)}" if unknown else ""
    found.told.append(f"{path}: {taken} points are evaluated first{aside}")


def _rows(path: Path) -> Iterator[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            table = csv.DictReader(file, strict=True)
            names = Counter(name.strip() for name in table.fieldnames or ())
            twice = [name for name, count in names.items() if count > 1]
            if twice:
                raise InputError(
                    f"{path}: the column {twice[0]!r} is there {names[twice[0]]} times"
                )
            for row in table:
                if None in row or None in row.values():
                    raise InputError(f"{path}: a row has another number of cells than the header")
                yield {name.strip(): text.strip() for name, text in row.items()}
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from None
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(f"{path} is no table: {error}") from None


def _value(text: str) -> Any:
    """A cell as a space file's scalar."""
    value = parse(text, "cell").value
    return value if isinstance(value, bool | int | float | str) else text


def _add_run(found: Brought, problem: Problem, name: str) -> None:
    """A run's results where it measured alike, else the points of its front."""
    run = load_run(find_run(name))
    folder = RunFolder(run.path)
    file = load_space_file(folder.space_path)
    one_seed, replicates = {t.number: t for t in folder.first_seeds()}, folder.replicates()
    differs = _differences(problem.file, file)
    trials = run.trials if not differs else [member.trial for member in run.members]
    left: Counter[str] = Counter()
    taken = 0
    for trial in trials:
        fits, reason = _fitting(problem, file.space, trial)
        if fits is None:
            left[reason] += 1
        elif differs:
            found.points.setdefault(f"run:{fits.key}", fits)
            taken += 1
        else:
            first = trial.with_metrics(one_seed[trial.number].metrics)
            further = [_judged(problem, one) for one in replicates if one.number == trial.number]
            found.results.append((_adopted(problem, first, fits), further))
            taken += 1
    if not differs:
        found.environments += _environments(folder)
    what = (
        f"{taken} points of its front are evaluated first, as it differs in {', '.join(differs)}"
        if differs
        else f"{taken} of its {len(trials)} trials are kept with their results"
    )
    found.told.append(f"{run.path}: {what}{_left_out(left)}")


def _environments(folder: RunFolder) -> Iterator[dict[str, Any]]:
    own = folder.environment()
    first = {key: value for key, value in own.items() if key not in ("further", "command", "ended")}
    for described in (first, *own.get("further", {}).values()):
        if described.get("id"):
            yield described


def _left_out(left: Counter[str]) -> str:
    if not left:
        return ""
    parts = [f"{count} ({reason})" for reason, count in left.most_common(_SHOWN)]
    rest = sum(left.values()) - sum(count for _, count in left.most_common(_SHOWN))
    return f"; left out: {', '.join(parts)}" + (f" and {rest} more" if rest else "")


def _differences(mine: SpaceFile, theirs: SpaceFile) -> list[str]:
    """What decides metrics and is not the same; what may vary, and the bounds, decide none."""
    same = {"space", "constraints", "objectives"}
    new, old = (without_places(_plain(file.identity())) for file in (mine, theirs))
    return [key for key in {**old, **new} if key not in same and old.get(key) != new.get(key)]


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value))


def _fitting(problem: Problem, old: Space, trial: Trial) -> tuple[Architecture | None, str]:
    """A trial's point in this space, or why there is none."""
    space = problem.space
    if trial.state != "complete":
        return None, trial.state
    missing = [name for name in problem.wanted if name not in trial.metrics]
    values = {**old.constants, **trial.architecture.to_json()}
    for name, held in space.constants.items():
        if values.get(name) != held:
            return None, f"{name} is {held} here"
    foreign = [n for n in trial.architecture if n not in space.names and n not in space.constants]
    if foreign:
        return None, f"{foreign[0]} is no parameter here"
    lost = [n for n in old.constants if n not in space.names and n not in space.constants]
    if lost:
        return None, f"{lost[0]} is not held here"
    if missing:
        return None, f"it has no {missing[0]}"
    try:
        here = {name: values[name] for name in space.names if name in values}
        return _checked(space, here), ""
    except InputError as error:
        return None, str(error)


def _adopted(problem: Problem, trial: Trial, architecture: Architecture) -> Trial:
    return replace(
        trial,
        architecture=architecture,
        origin="imported",
        constraints=problem.violations(trial.metrics),
    )


def _judged(problem: Problem, replicate: Replicate) -> Replicate:
    return replace(replicate, constraints=problem.violations(replicate.metrics))


def _checked(space: Space, values: Mapping[str, Value]) -> Architecture:
    architecture = space.canonical(values)
    reason = space.problem(architecture)
    if reason is not None:
        raise InputError(reason)
    return architecture
