"""A file ``*.npz`` of arrays: ``train_images``, ``train_labels``, and the same of val and test."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from invsearch.data.dataset import DataFormat
from invsearch.data.splits import Labelled, Splits, numbered_classes
from invsearch.errors import InputError

__all__ = ["FORMAT", "labelled", "splits_of"]

_PARTS = ("train", "val", "test")


def labelled(images: Any, labels: Any, where: str) -> Labelled:
    """Images in an array.

    Args:
        images: uint8 (N, H, W), (N, H, W, 1) or (N, H, W, 3).
        labels: Integers (N,).
        where: What they are, for messages.

    Raises:
        InputError: If the arrays are not such.
    """
    pixels, truth = np.asarray(images), np.asarray(labels)
    if pixels.ndim == 4 and pixels.shape[3] == 1:
        pixels = pixels[..., 0]
    grey, colour = pixels.ndim == 3, pixels.ndim == 4 and pixels.shape[3] == 3
    if pixels.dtype != np.uint8 or not (grey or colour):
        raise InputError(
            f"{where}: the images are {pixels.dtype} of shape {pixels.shape}, not uint8 of shape "
            "(N, H, W) or (N, H, W, 3)"
        )
    if truth.dtype.kind not in "iu" or truth.shape != pixels.shape[:1]:
        raise InputError(
            f"{where}: the labels are {truth.dtype} of shape {truth.shape}, not integers of shape "
            f"({len(pixels)},)"
        )

    def picture(row: int) -> Any:
        from PIL import Image

        return Image.fromarray(pixels[row])

    return Labelled(
        torch.from_numpy(truth.astype(np.int64)), picture, lambda row: f"{where}, row {row}"
    )


def splits_of(
    arrays: Mapping[str, Any], where: str, classes: tuple[str, ...] = (), *, mirrors: bool = True
) -> Splits:
    """Splits of arrays by name; without names for the classes, these are the labels' numbers.

    Args:
        arrays: ``train_images`` and ``train_labels``, and as much of val and test as there is.
        where: What they are, for messages.
        classes: Names of the classes.
        mirrors: Whether a mirrored image keeps its class.

    Raises:
        InputError: If an array is missing, or is not what it should be.
    """
    parts: dict[str, Labelled | None] = {}
    for part in _PARTS:
        names = (f"{part}_images", f"{part}_labels")
        there = [name for name in names if name in arrays]
        if part == "train" or there:
            for name in names:
                if name not in arrays:
                    raise InputError(f"{where}: has no array {name!r}; it has {', '.join(arrays)}")
            images, labels = (arrays[name] for name in names)
            parts[part] = labelled(images, labels, f"{where}: {part}")
    train = parts["train"]
    assert train is not None
    classes = classes or numbered_classes(train.labels, where)
    return Splits(where, classes, train, parts.get("val"), parts.get("test"), mirrors)


def read(path: Path) -> dict[str, NDArray[Any]]:
    """Read a file of arrays; nothing in it is unpickled.

    Raises:
        InputError: If it is damaged, or holds Python objects.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{path}: cannot be read as arrays without pickles: {reason}") from error


FORMAT = DataFormat(
    "a file *.npz of uint8 arrays train_images, train_labels, test_images, ...",
    lambda path: path.suffix == ".npz" and path.is_file(),
    lambda path: splits_of(read(path), str(path)),
)
