"""What makes a folder a run of ours: the mark that says which files may be written over."""

from __future__ import annotations

import json
import os
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from invsearch.errors import DiskError, InputError
from invsearch.space.sources import COPY, SOURCES

__all__ = ["FORMAT", "MARK", "PARTS", "check_place", "check_schema", "is_marked"]

FORMAT = "invsearch-run"
SCHEMA = 1  # of the folder; rises with a change that an older version must not write into
MARK: Mapping[str, Any] = {"format": FORMAT, "schema": SCHEMA}
"""The first keys of ``environment.json``, which is the first file that a run writes."""

ENVIRONMENT, JOURNAL, LOCK = "environment.json", "study.journal", ".lock"
PARTS = (
    COPY,
    ENVIRONMENT,
    JOURNAL,
    "study.json",
    "trials.jsonl",
    "replicates.jsonl",
    "queue.jsonl",
    "tests.jsonl",
    "promotions.jsonl",
    "curves.jsonl",
    "front.csv",
    "latency_table.json",
    "hints.jsonl",
    "supernet",
    "checkpoints",
    "errors",
    "workers",
    SOURCES,
)
"""What a run writes into its folder."""

_HEAD = 4096  # bytes of a journal: its first line, which names the study, has 130 and that name
_OUR_SPACE = b'"user_attr":{"space":{"objectives":'
"""In the second line of a journal of ours; in versions before, the study was named for us too."""


def is_marked(path: Path) -> bool:
    """Whether a folder is a run of ours: by its mark, or by its journal where that was lost.

    Versions before the mark wrote the version of invsearch into ``environment.json``.
    """
    environment = _mapping(path / ENVIRONMENT)
    if environment.get("format") == FORMAT:
        return True
    versions = environment.get("versions")
    if "id" in environment and isinstance(versions, Mapping) and "invsearch" in versions:
        return True
    try:
        with (path / JOURNAL).open("rb") as file:
            head = file.read(_HEAD).replace(b" ", b"")
            return b'"study_name":"invsearch"' in head or _OUR_SPACE in head
    except OSError:
        return False


def check_place(path: Path) -> None:
    """Refuse a folder that a run must not be written into.

    Raises:
        InputError: If it is no folder, cannot be one, or holds files of our names that no run made;
            it names them.
    """
    _check_name(path)
    try:
        if path.is_symlink() and not path.exists():
            target = os.path.realpath(path)
            raise InputError(f"{path} is a link to {target}, which is not there: choose with --out")
        if path.exists() and not path.is_dir():
            raise InputError(f"{path} is a file: choose a folder with --out")
        foreign = [] if is_marked(path) else _foreign(path)
    except OSError as error:
        raise DiskError.of(error, path, "read", "choose another folder with --out") from None
    if foreign:
        raise InputError(
            f"{path} holds {', '.join(foreign)}, which no run of invsearch made and which a run "
            "would write over: choose another folder with --out"
        )


def _check_name(path: Path) -> None:
    if any(unicodedata.category(character) == "Cc" for character in str(path)):
        raise InputError(f"--out {str(path)!r} has a control character in its name")
    if not path.name.strip(".") and path.parts[-1:] != ("..",) and path.parts:
        raise InputError(f"--out {str(path)!r} is no name of a folder")


def _foreign(path: Path) -> list[str]:
    """The parts of a run that a folder without our mark holds; empty ones cost nothing."""
    found = [part for part in PARTS if _holds_something(path / part)]
    lock = path / LOCK
    if lock.is_file() and lock.read_bytes()[:8] not in (b"", b"process "):
        found.append(LOCK)
    return found


def _holds_something(part: Path) -> bool:
    if part.is_dir():
        return any(part.iterdir())
    return part.is_symlink() or (part.exists() and part.stat().st_size > 0)


def _mapping(path: Path) -> Mapping[str, Any]:
    try:
        data = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def check_schema(found: object, known: int, path: Path | str) -> None:
    """Refuse what a newer version wrote.

    Args:
        found: The number that the file has.
        known: The newest that this version reads.
        path: The file, with the line where it has several.

    Raises:
        InputError: With the way out.
    """
    if isinstance(found, int) and found > known:
        raise InputError(
            f"{path}: written by a newer version of invsearch (schema {found}; this version reads "
            f"up to {known}): update invsearch to go on with this run or to read it"
        )
