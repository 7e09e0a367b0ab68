"""A folder of train.parquet and test.parquet with columns ``image`` (JPEG or PNG) and ``label``."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from invsearch.data.dataset import FolderFormat, Wanted
from invsearch.data.images import ImageData, Scale, standardise, stratified_subset
from invsearch.errors import InputError, nearest

__all__ = ["PARQUET"]

FILES = ("train.parquet", "test.parquet")


def _missing(folder: Path) -> str | None:
    absent = [file for file in FILES if not (folder / file).is_file()]
    return f"{folder} has no file {absent[0]}" if absent else None


def _load(folder: Path, name: str, wanted: Wanted) -> ImageData:
    """Load a folder of parquet; only the images that are kept are decoded.

    Images are grey if the first training image is, else RGB, and validated on the test file.

    Args:
        folder: Holds ``train.parquet`` and ``test.parquet``, each with the columns ``image``
            (the bytes of a JPEG or PNG) and ``label`` (integers from 0).
        name: Name of the data set.
        wanted: Without a resolution the images' own, all equal and square.

    Raises:
        InputError: If a file, a column, a label or an image cannot be used.
    """
    train_path, val_path = (folder / file for file in FILES)
    train_bytes, train_labels = _read(train_path)
    val_bytes, val_labels = _read(val_path)
    num_classes = int(train_labels.max()) + 1
    if int(val_labels.max()) >= num_classes:
        raise InputError(
            f"{val_path}: label {int(val_labels.max())} does not occur in {FILES[0]}, "
            f"whose labels end at {num_classes - 1}"
        )
    kept = stratified_subset(train_labels, wanted.data_fraction, wanted.seed)
    mode = _mode(train_path, train_bytes, int(kept[0]))
    resize = wanted.resolution is not None
    train_images = _decode(train_path, train_bytes, kept, mode, wanted.resolution, resize=resize)
    side, rows = train_images.shape[-1], torch.arange(len(val_labels))
    val_images = _decode(val_path, val_bytes, rows, mode, side, resize=resize)
    scale = Scale.of(train_images) if wanted.pixels else None
    if scale is None:
        train_images, val_images = standardise(train_images, val_images)
    return ImageData(
        train_images=train_images,
        train_labels=train_labels[kept],
        val_images=val_images,
        val_labels=val_labels,
        num_classes=num_classes,
        name=name,
        data_fraction=wanted.data_fraction,
        scale=scale,
    )


def _read(path: Path) -> tuple[Any, Tensor]:
    """Return the encoded images (a pyarrow column) and the labels, int64 (N,)."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path}: cannot be read as parquet: {_line(error)}") from error
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


def _open(path: Path, images: Any, row: int) -> Any:
    from PIL import Image

    try:
        return Image.open(io.BytesIO(images[row].as_py()))
    except (OSError, TypeError) as error:
        raise InputError(f"{path}: row {row}: not a JPEG or PNG image") from error


def _mode(path: Path, images: Any, row: int) -> str:
    return "L" if _open(path, images, row).mode in ("1", "L", "LA", "I;16") else "RGB"


def _decode(
    path: Path, images: Any, rows: Tensor, mode: str, side: int | None, *, resize: bool
) -> Tensor:
    """Decode the rows to uint8 (N, C, side, side); side None takes the first image's width."""
    from PIL import Image

    pixels = []
    for row in rows.tolist():
        try:
            image = _open(path, images, row).convert(mode)
        except (OSError, SyntaxError, ValueError) as error:
            raise InputError(f"{path}: row {row}: damaged image: {_line(error)}") from error
        side = side or image.width
        if image.size != (side, side):
            if not resize:
                size = f"{image.width} x {image.height}, not {side} x {side}"
                raise InputError(f"{path}: row {row}: the image is {size}; give a resolution")
            image = image.resize((side, side), resample=Image.Resampling.BILINEAR)
        pixels.append(np.asarray(image, dtype=np.uint8).reshape(side, side, -1))
    return torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2)


def _line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


PARQUET = FolderFormat(" and ".join(FILES), _missing, _load)
