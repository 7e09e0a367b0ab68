"""A folder of train.parquet and test.parquet with columns ``image`` (JPEG or PNG) and ``label``.

Or of the shards that Hugging Face writes: ``train-00000-of-00294.parquet`` and so on, there or in
``data``, with ``validation`` for val. The encoded images are held in memory.
"""

from __future__ import annotations

import io
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from invsearch.data.dataset import DataFormat
from invsearch.data.memory import machine_memory
from invsearch.data.splits import Labelled, Splits, numbered_classes
from invsearch.errors import InputError, nearest

__all__ = ["FORMAT"]

_NAMES = {"train": ("train",), "val": ("val", "validation"), "test": ("test",)}
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
    _check_memory(folder)
    train_files = _files(folder, "train")
    train = _labelled(train_files)
    classes = numbered_classes(train.labels, str(train_files[0]))
    others: dict[str, Labelled] = {}
    for name in ("test", "val"):
        files = _files(folder, name)
        if files:
            part = others[name] = _labelled(files)
            if int(part.labels.max()) >= len(classes):
                raise InputError(
                    f"{files[0]}: label {int(part.labels.max())} does not occur in "
                    f"{train_files[0].name}, whose labels end at {len(classes) - 1}"
                )
    return Splits(str(folder), classes, train, others.get("val"), others.get("test"))


def _check_memory(folder: Path) -> None:
    needed = sum(file.stat().st_size for part in _NAMES for file in _files(folder, part))
    if needed > machine_memory():
        raise InputError(
            f"{folder}: the encoded images take {needed / 1e9:.0f} GB, and this machine has "
            f"{machine_memory() / 1e9:.0f}: unpack them to a folder train/<class>/*, which is read "
            "file by file"
        )


def _labelled(paths: Sequence[Path]) -> Labelled:
    tables = [_read(path) for path in paths]
    starts = [0, *accumulate(len(labels) for _, labels in tables)]

    def place(row: int) -> tuple[int, int]:
        number = bisect_right(starts, row) - 1
        return number, row - starts[number]

    def picture(row: int) -> Any:
        from PIL import Image

        number, inside = place(row)
        return Image.open(io.BytesIO(tables[number][0][inside].as_py()))

    def name(row: int) -> str:
        number, inside = place(row)
        return f"{paths[number]}: row {inside}"

    return Labelled(torch.cat([labels for _, labels in tables]), picture, name)


def _read(path: Path) -> tuple[Any, Tensor]:
    """Return the encoded images (a pyarrow column) and the labels, int64 (N,)."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        names = pq.read_schema(path).names
        table = pq.read_table(path, columns=[name for name in ("image", "label") if name in names])
    except (OSError, pa.ArrowException) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{path}: cannot be read as parquet: {reason}") from error
    images, labels = (_column(path, table, column, names) for column in ("image", "label"))
    if not len(labels):
        raise InputError(f"{path}: holds no images")
    if pa.types.is_struct(images.type) and images.type.get_field_index("bytes") >= 0:
        # chunk by chunk: joined, more than 2 GB of images would be too many for their offsets
        images = pa.chunked_array([chunk.field("bytes") for chunk in images.chunks])
    if not (pa.types.is_binary(images.type) or pa.types.is_large_binary(images.type)):
        raise InputError(f"{path}: column 'image' holds {images.type}, not the bytes of an image")
    if not pa.types.is_integer(labels.type) or labels.null_count:
        raise InputError(f"{path}: column 'label' holds {labels.type}, not an integer in each row")
    values = torch.from_numpy(labels.to_numpy().astype(np.int64))
    if int(values.min()) < 0:
        raise InputError(f"{path}: label {int(values.min())} is negative; labels count from 0")
    return images, values


def _column(path: Path, table: Any, name: str, names: Sequence[str]) -> Any:
    if name in table.column_names:
        return table.column(name)
    raise InputError(
        f"{path}: has no column {name!r}{nearest(name, names)}; it has {', '.join(names) or 'none'}"
    )


FORMAT = DataFormat(
    "train.parquet and test.parquet",
    lambda path: any(_files(path, part) for part in ("train", "test")),
    _open,
    _missing,
)
