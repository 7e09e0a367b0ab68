"""A folder of train.parquet and test.parquet with columns ``image`` (JPEG or PNG) and ``label``."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from invsearch.data.dataset import DataFormat
from invsearch.data.splits import Labelled, Splits, numbered_classes
from invsearch.errors import InputError, nearest

__all__ = ["FORMAT"]

_NEEDED = ("train.parquet", "test.parquet")
_VAL = "val.parquet"  # a tenth of the training images where there is none


def _missing(folder: Path) -> str | None:
    absent = [file for file in _NEEDED if not (folder / file).is_file()]
    return f"{folder} has no file {absent[0]}" if absent else None


def _open(folder: Path) -> Splits:
    """Open a folder of parquet.

    Raises:
        InputError: If a file, a column or a label cannot be used.
    """
    train, test = (_labelled(folder / file) for file in _NEEDED)
    val = _labelled(folder / _VAL) if (folder / _VAL).is_file() else None
    classes = numbered_classes(train.labels, str(folder / _NEEDED[0]))
    for part, file in ((test, _NEEDED[1]), (val, _VAL)):
        if part is not None and int(part.labels.max()) >= len(classes):
            raise InputError(
                f"{folder / file}: label {int(part.labels.max())} does not occur in {_NEEDED[0]}, "
                f"whose labels end at {len(classes) - 1}"
            )
    return Splits(str(folder), classes, train, val, test)


def _labelled(path: Path) -> Labelled:
    images, labels = _read(path)

    def picture(row: int) -> Any:
        from PIL import Image

        return Image.open(io.BytesIO(images[row].as_py()))

    return Labelled(labels, picture, lambda row: f"{path}: row {row}")


def _read(path: Path) -> tuple[Any, Tensor]:
    """Return the encoded images (a pyarrow column) and the labels, int64 (N,)."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{path}: cannot be read as parquet: {reason}") from error
    images, labels = (_column(path, table, column) for column in ("image", "label"))
    if not len(labels):
        raise InputError(f"{path}: holds no images")
    if pa.types.is_struct(images.type) and images.type.get_field_index("bytes") >= 0:
        images = images.combine_chunks().field("bytes")
    if not (pa.types.is_binary(images.type) or pa.types.is_large_binary(images.type)):
        raise InputError(f"{path}: column 'image' holds {images.type}, not the bytes of an image")
    if not pa.types.is_integer(labels.type) or labels.null_count:
        raise InputError(f"{path}: column 'label' holds {labels.type}, not an integer in each row")
    values = torch.from_numpy(labels.to_numpy().astype(np.int64))
    if int(values.min()) < 0:
        raise InputError(f"{path}: label {int(values.min())} is negative; labels count from 0")
    return images, values


def _column(path: Path, table: Any, name: str) -> Any:
    if name in table.column_names:
        return table.column(name)
    raise InputError(
        f"{path}: has no column {name!r}{nearest(name, table.column_names)}; "
        f"it has {', '.join(table.column_names) or 'none'}"
    )


FORMAT = DataFormat(
    " and ".join(_NEEDED),
    lambda path: any((path / file).is_file() for file in _NEEDED),
    _open,
    _missing,
)
