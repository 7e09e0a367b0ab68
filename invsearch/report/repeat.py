"""How to repeat a run, and where it was made."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from invsearch.runs import RunData

__all__ = ["environment_rows", "near", "repeat_command"]


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
    recorded = run.environment.get("command")
    given = [str(argument) for argument in recorded] if isinstance(recorded, list) else []
    folder = near(run.path)
    words = ["invsearch", "run", str(folder / "space.yaml"), "--out", f"{folder}-again"]
    for option, key in (("--trials", "trials"), ("--seed", "seed"), ("--executor", "")):
        value = _option(given, option) or run.outline.search.get(key)
        words += [option, value] if value else []
    words += ["--deterministic"] if "--deterministic" in given else []
    return shlex.join(words)


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
