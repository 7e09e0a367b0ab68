"""A folder of train.parquet and test.parquet with columns ``image`` (JPEG or PNG) and ``label``.

Or of the shards that Hugging Face writes: ``train-00000-of-00294.parquet`` and so on, there or in
``data``, with ``validation`` for val. The encoded images are held in memory where they are no more
than half of it, else read a row group at a time.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from invsearch.data.blocks import Blocks
from invsearch.data.dataset import DataFormat
from invsearch.data.memory import machine_memory
from invsearch.data.row_groups import Group, RowGroups, image_bytes
from invsearch.data.splits import Labelled, Splits, numbered_classes
from invsearch.errors import InputError, nearest

__all__ = ["FORMAT"]

_NAMES = {"train": ("train",), "val": ("val", "validation"), "test": ("test",)}
_HELD = 0.5  # of the machine's memory: the network, its batches and the process want the rest
_PLACES = (".", "data")  # a data set of Hugging Face has its shards in data/


def _files(folder: Path, part: str) -> list[Path]:
    """A part's file, or its shards in their order; empty where there are none."""
    for name in _NAMES[part]:
        for place in _PLACES:
            found = folder / place / f"{name}.parquet"
            if found.is_file():
                return [found]
            shards = sorted((folder / place).glob(f"{name}-*-of-*.parquet"))
            if shards:
                return shards
    return []


def _missing(folder: Path) -> str | None:
    there = {part for part in _NAMES if _files(folder, part)}
    if "train" not in there:
        return f"{folder} has no file train.parquet"
    return None if len(there) > 1 else f"{folder} has no file test.parquet"


def _open(folder: Path) -> Splits:
    """Open a folder of parquet.

    Raises:
        InputError: If a file, a column or a label cannot be used.
    """
    read = None if _fits(folder) else RowGroups()
    train_files = _files(folder, "train")
    train = _labelled(train_files, read)
    classes = numbered_classes(train.labels, str(train_files[0]))
    others: dict[str, Labelled] = {}
    for name in ("test", "val"):
        files = _files(folder, name)
        if files:
            part = others[name] = _labelled(files, read)
            if int(part.labels.max()) >= len(classes):
                raise InputError(
                    f"{files[0]}: label {int(part.labels.max())} does not occur in "
                    f"{train_files[0].name}, whose labels end at {len(classes) - 1}"
                )
    return Splits(str(folder), classes, train, others.get("val"), others.get("test"))


def _fits(folder: Path) -> bool:
    """Whether the encoded images leave memory enough."""
    needed = sum(file.stat().st_size for part in _NAMES for file in _files(folder, part))
    return needed <= _HELD * machine_memory()


def _labelled(paths: Sequence[Path], read: RowGroups | None) -> Labelled:
    return _in_memory(paths) if read is None else _by_row_groups(paths, read)


def _in_memory(paths: Sequence[Path]) -> Labelled:
    tables = [_read(path) for path in paths]
    starts = [0, *accumulate(len(labels) for _, labels in tables)]

    def place(row: int) -> tuple[int, int]:
        number = bisect_right(starts, row) - 1
        return number, row - starts[number]

    def source(row: int) -> bytes:
        number, inside = place(row)
        found: bytes = tables[number][0][inside].as_py()
        return found

    def name(row: int) -> str:
        number, inside = place(row)
        return f"{paths[number]}: row {inside}"

    return Labelled.encoded(torch.cat([labels for _, labels in tables]), source, name)


def _by_row_groups(paths: Sequence[Path], read: RowGroups) -> Labelled:
    labels = torch.cat([_read(path, images=False)[1] for path in paths])
    groups = [group for path in paths for group in _groups(path)]
    of = torch.repeat_interleave(torch.tensor([group.rows for group in groups]))
    starts = [0, *accumulate(group.rows for group in groups)]
    first = dict[Path, int]()  # row of each file
    for group, start in zip(groups, starts, strict=False):
        first.setdefault(group.path, start)

    def source(row: int) -> bytes:
        number = int(of[row])
        return read.image(groups[number], row - starts[number])

    def name(row: int) -> str:
        path = groups[int(of[row])].path
        return f"{path}: row {row - first[path]}"

    blocks = Blocks(of, torch.tensor([group.size for group in groups]))
    return replace(Labelled.encoded(labels, source, name), blocks=blocks)


def _groups(path: Path) -> list[Group]:
    """A file's row groups that have rows, with the bytes of their images as they are in memory."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        footer = file.metadata
    groups = [footer.row_group(number) for number in range(footer.num_row_groups)]
    found = [
        Group(path, number, group.num_rows, sum(_image_sizes(group)), footer)
        for number, group in enumerate(groups)
        if group.num_rows
    ]
    largest, memory = max(group.size for group in found), machine_memory()
    if largest > _HELD * memory:
        raise InputError(
            f"{path}: a row group holds {largest / 1e9:.1f} GB of images, and the machine's memory "
            f"is {memory / 1e9:.1f}: write the file with row groups of some hundred rows "
            "(row_group_size)"
        )
    return found


def _image_sizes(group: Any) -> Iterator[int]:
    for number in range(group.num_columns):
        column = group.column(number)
        if column.path_in_schema.partition(".")[0] == "image":
            yield column.total_uncompressed_size


def _read(path: Path, *, images: bool = True) -> tuple[Any, Tensor]:
    """Return the encoded images (a pyarrow column; None if unwanted) and the labels, int64 (N,)."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    wanted = ["image", "label"] if images else ["label"]
    try:
        schema = pq.read_schema(path)
        names = schema.names
        table = pq.read_table(path, columns=[name for name in wanted if name in names])
    except (OSError, pa.ArrowException) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{path}: cannot be read as parquet: {reason}") from error
    _check_images(path, schema)
    labels = _column(path, table, "label", names)
    if not len(labels):
        raise InputError(f"{path}: holds no images")
    if not pa.types.is_integer(labels.type) or labels.null_count:
        raise InputError(f"{path}: column 'label' holds {labels.type}, not an integer in each row")
    values = torch.from_numpy(labels.to_numpy().astype(np.int64))
    if int(values.min()) < 0:
        raise InputError(f"{path}: label {int(values.min())} is negative; labels count from 0")
    return image_bytes(table.column("image")) if images else None, values


def _check_images(path: Path, schema: Any) -> None:
    import pyarrow as pa

    if "image" not in schema.names:
        raise _without(path, "image", schema.names)
    kind = schema.field("image").type
    if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
        kind = kind.field("bytes").type
    if not (pa.types.is_binary(kind) or pa.types.is_large_binary(kind)):
        raise InputError(f"{path}: column 'image' holds {kind}, not the bytes of an image")


def _column(path: Path, table: Any, name: str, names: Sequence[str]) -> Any:
    if name in table.column_names:
        return table.column(name)
    raise _without(path, name, names)


def _without(path: Path, name: str, names: Sequence[str]) -> InputError:
    has = ", ".join(names) or "none"
    return InputError(f"{path}: has no column {name!r}{nearest(name, names)}; it has {has}")


FORMAT = DataFormat(
    "train.parquet and test.parquet",
    lambda path: any(_files(path, part) for part in ("train", "test")),
    _open,
    _missing,
)
