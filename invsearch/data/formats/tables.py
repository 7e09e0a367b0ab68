"""A table ``*.csv`` with the columns ``path``, ``label`` and, if need be, ``split``.

Paths are relative to the table. Labels are names, sorted, or all of them whole numbers from 0. A
``split`` is train, val or test; without the column, val and test are split off.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from invsearch.data.dataset import DataFormat
from invsearch.data.formats.files import labelled_files
from invsearch.data.splits import Labelled, Splits, numbered_classes
from invsearch.errors import InputError, nearest

__all__ = ["FORMAT"]

_PARTS = ("train", "val", "test")
_WHOLE = re.compile(r"[+-]?\d{1,18}")


@dataclass(frozen=True)
class _Row:
    line: int
    path: Path
    label: str
    split: str


def _open(table: Path) -> Splits:
    """Open a table of paths.

    Raises:
        InputError: If a column is missing, or a line names no file, no label or no split.
    """
    rows = list(_rows(table))
    train = [row for row in rows if row.split == "train"]
    if not train:
        raise InputError(f"{table}: no line is of the split train")
    classes = _classes(train, table)
    label = {name: number for number, name in enumerate(classes)}
    parts: dict[str, Labelled] = {}
    for name in _PARTS:
        of_part = [row for row in rows if row.split == name]
        for row in of_part:
            if row.label not in label:
                hint = nearest(row.label, classes)
                raise InputError(
                    f"{table}:{row.line}: the label {row.label!r} is not in train{hint}"
                )
        if of_part:
            parts[name] = labelled_files(
                [row.path for row in of_part], [label[row.label] for row in of_part]
            )
    return Splits(str(table), classes, parts["train"], parts.get("val"), parts.get("test"))


def _rows(table: Path) -> Iterator[_Row]:
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            columns = reader.fieldnames or []
            for name in ("path", "label"):
                if name not in columns:
                    has = ", ".join(columns) or "none"
                    raise InputError(f"{table}: has no column {name!r}; it has {has}")
            for values in reader:
                yield _row(table, reader.line_num, values)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{table}: cannot be read as CSV: {error}") from error


def _row(table: Path, line: int, values: Mapping[str, str | None]) -> _Row:
    given, label = (values["path"] or "").strip(), (values["label"] or "").strip()
    split = (values.get("split") or "train").strip()
    if not given or not label:
        raise InputError(f"{table}:{line}: has no {'path' if not given else 'label'}")
    if split not in _PARTS:
        raise InputError(
            f"{table}:{line}: the split {split!r} is none of {', '.join(_PARTS)}"
            f"{nearest(split, _PARTS)}"
        )
    label = str(int(label)) if _WHOLE.fullmatch(label) else label  # 07 is 7
    path = table.parent / given
    if not path.is_file():
        raise InputError(f"{table}:{line}: there is no file {given!r}")
    return _Row(line, path, label, split)


def _classes(train: Sequence[_Row], table: Path) -> tuple[str, ...]:
    """Names in order; numbers as such, with all below the largest, so that 10 is not before 2."""
    if not all(_WHOLE.fullmatch(row.label) for row in train):
        return tuple(sorted({row.label for row in train}))
    for row in train:
        if int(row.label) < 0:
            raise InputError(
                f"{table}:{row.line}: label {row.label} is negative; labels count from 0"
            )
    return numbered_classes(torch.tensor([int(row.label) for row in train]), str(table))


FORMAT = DataFormat(
    "a table *.csv of path, label and split",
    lambda path: path.suffix == ".csv" and path.is_file(),
    _open,
)
