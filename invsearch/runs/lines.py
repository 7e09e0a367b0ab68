"""Reading a file of JSON lines that a crash may have torn at its end, and only there."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, NoReturn, TypeVar

from invsearch.errors import DiskError, InputError
from invsearch.runs.mark import check_schema
from invsearch.runs.records import NewerError
from invsearch.runs.trial import SCHEMA

__all__ = ["LineFile", "cut_torn_end", "read_lines"]

T = TypeVar("T")


@dataclass(frozen=True)
class LineFile(Generic[T]):
    """What a file of JSON lines holds.

    Attributes:
        records: The parsed lines, in order.
        sound_bytes: Length of the file up to the end of its last sound line.
        notice: What was dropped from the end, or None.
    """

    records: tuple[T, ...]
    sound_bytes: int
    notice: str | None = None


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")


def _decode(raw: bytes) -> Any:
    try:
        return json.loads(raw.decode(), parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _damage(path: Path, line: int, why: str) -> InputError:
    return InputError(
        f"{path}:{line}: {why}; only the last line may be torn: restore the file, or remove this"
        " line and resume"
    )


def read_lines(path: Path, parse: Callable[[Any], T]) -> LineFile[T]:
    """Read a file of JSON lines.

    A last line without a line end, or one that is no JSON, is what a crash leaves: it is dropped
    and said so. Anything else that cannot be read is damage.

    Args:
        path: The file; a missing one has no lines.
        parse: Makes a record of one decoded line; raises ValueError, KeyError, TypeError or
            AttributeError where it cannot.

    Returns:
        The records and what was dropped.

    Raises:
        InputError: If a line other than a torn last one cannot be read, or a newer version wrote
            it; it names path and line.
    """
    try:
        raw_lines = path.read_bytes().split(b"\n") if path.exists() else [b""]
    except OSError as error:
        raise DiskError.of(error, path, "read") from None
    tail = raw_lines.pop()
    records: list[T] = []
    sound = 0
    notice = None
    for index, raw in enumerate(raw_lines, start=1):
        try:
            data = _decode(raw)
        except ValueError as error:
            if index == len(raw_lines) and not tail:
                notice = f"{path}:{index}: the last line is torn and was dropped"
                break
            raise _damage(path, index, f"not a line of JSON ({error})") from None
        try:
            records.append(parse(data))
        except NewerError as error:
            check_schema(error.args[0], SCHEMA, f"{path}:{index}")
        except KeyError as error:
            raise _damage(path, index, f"the field {error} is missing") from None
        except (ValueError, TypeError, AttributeError) as error:
            raise _damage(path, index, str(error)) from None
        sound += len(raw) + 1
    if tail:
        notice = f"{path}:{len(raw_lines) + 1}: the last line is torn and was dropped"
    return LineFile(tuple(records), sound, notice)


def cut_torn_end(path: Path, log: LineFile[Any]) -> None:
    """Remove what reading dropped from the end, so that a line can follow."""
    if log.notice is None:
        return
    with path.open("r+b") as file:
        file.truncate(log.sound_bytes)
        os.fsync(file.fileno())
