"""What ``-o`` may write over: anything, as with any other tool, but what a search is made of."""

from __future__ import annotations

import os
from pathlib import Path

from invsearch.atomic import is_standard_output, write_output
from invsearch.errors import DiskError, InputError
from invsearch.runs.mark import LOCK, PARTS, is_marked

__all__ = ["check_output", "write_checked"]

_INPUTS = (".py", ".yaml", ".yml")  # what people write by hand: nothing that we write ends so


def write_checked(path: Path, content: str | bytes) -> None:
    """Write what ``-o`` asked for (:func:`invsearch.atomic.write_output`), where that may be.

    Raises:
        InputError: As :func:`check_output`; or if it cannot be written.
    """
    check_output(path)
    write_output(path, content)


def check_output(path: Path) -> None:
    """Refuse to write over a run's own files, or over a file that somebody wrote by hand.

    Raises:
        InputError: With the file's name.
    """
    if is_standard_output(path):
        return
    try:
        _check(path, Path(os.path.realpath(path)))
    except OSError as error:
        raise DiskError.of(error, path, "written") from None


def _check(path: Path, target: Path) -> None:
    if target.is_dir():
        raise InputError(f"{path}: cannot be written: it is a folder; name a file with -o")
    for folder in target.parents:
        if target.relative_to(folder).parts[0] in (*PARTS, LOCK) and is_marked(folder):
            raise InputError(f"-o {path} is a part of the run {folder}: name another file")
    if target.suffix in _INPUTS and target.is_file() and target.stat().st_size > 0:
        raise InputError(
            f"-o {path} is there and ends in {target.suffix}, as what people write by hand does: "
            "name another file, or remove it first"
        )
