"""How to repeat a run, and where it was made."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from invsearch.report.text import span_seconds, start_of
from invsearch.runs import RunData
from invsearch.runs.mark import MARK
from invsearch.terminal import as_argument

__all__ = [
    "clock_rows",
    "environment_rows",
    "near",
    "planned_trials",
    "repeat_command",
    "resume_command",
]


def _option(arguments: Sequence[str], name: str) -> str | None:
    for index, argument in enumerate(arguments):
        if argument == name and index + 1 < len(arguments):
            return arguments[index + 1]
        if argument.startswith(f"{name}="):
            return argument.partition("=")[2]
    return None


def repeat_command(run: RunData) -> str:
    """Return the command that repeats a run from its own folder into a new one.

    Trials, seed, executor and mode are those of the recorded command where it gave them, else the
    space file's. The folder's space file has every ``--set`` applied.
    """
    return _command(run, as_argument(near(_again(run.path.resolve()))))


def _again(path: Path) -> Path:
    """The first folder beside a run that is free for another one."""
    names = (f"{path.name}-again{number}" for number in ("", *(f"-{n}" for n in range(2, 1000))))
    return next(place for place in map(path.with_name, names) if not place.exists())


def resume_command(run: RunData) -> str:
    """Return the command that goes on with a run, in its own folder; empty where it is complete.

    A run whose number of trials is not known counts as incomplete while it has none.
    """
    planned = planned_trials(run)
    if not run.objectives or (bool(run.trials) if planned is None else _done(run) >= planned):
        return ""
    return f"{_command(run, as_argument(near(run.path)))} --resume"


def planned_trials(run: RunData) -> int | None:
    """Return how many trials a run was to have, None where that is not known."""
    planned = _option(_given(run), "--trials") or run.outline.search.get("trials", "")
    return int(planned) if planned.isdecimal() else None


def _done(run: RunData) -> int:
    return sum(trial.state in ("complete", "stopped", "failed") for trial in run.trials)


def _given(run: RunData) -> list[str]:
    recorded = run.environment.get("command")
    return [str(argument) for argument in recorded] if isinstance(recorded, list) else []


def _command(run: RunData, out: str) -> str:
    given = _given(run)
    words = ["invsearch", "run", as_argument(near(run.path) / "space.yaml"), "--out", out]
    for option, key in (("--trials", "trials"), ("--seed", "seed"), ("--executor", "")):
        value = _option(given, option) or run.outline.search.get(key)
        words += [option, value] if value else []
    words += ["--deterministic"] if "--deterministic" in given else []
    return shlex.join(words)


def clock_rows(run: RunData) -> list[tuple[str, str]]:
    """Return when the first trial began and the last ended, where that is known."""
    start, seconds = start_of(run.trials), span_seconds(run.trials)
    if start is None or seconds is None:
        return []
    ends = {"first trial began": start, "last trial ended": start + timedelta(seconds=seconds)}
    return [(what, f"{time:%Y-%m-%d %H:%M:%S %Z}".strip()) for what, time in ends.items()]


def near(path: Path) -> Path:
    """Return a path as seen from the current folder where it lies under it."""
    try:
        return path.resolve().relative_to(Path.cwd().resolve())
    except ValueError:
        return path


def _fact(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def environment_rows(environment: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Flatten ``environment.json`` into ``(name, value)`` rows."""
    rows: list[tuple[str, str]] = []
    for key, value in environment.items():
        if not prefix and key in MARK:  # what makes the folder a run says nothing about the machine
            continue
        if key == "command" and isinstance(value, list) and value:
            program = [] if Path(str(value[0])).name == "invsearch" else ["invsearch"]
            rows.append(("started by", shlex.join([*program, *map(str, value)])))
            continue
        name = f"{prefix}{key}".replace("_", " ")
        if isinstance(value, Mapping):
            rows += environment_rows(value, f"{prefix}{key} / ")
        elif isinstance(value, (list, tuple)):
            rows.append((name, ", ".join(map(_fact, value))))
        elif value not in (None, ""):
            rows.append((name, _fact(value)))
    return rows
