"""CIFAR's binary version: records of the labels and the 3,072 bytes of an image, planes in order.

https://www.cs.toronto.edu/~kriz/cifar.html says: CIFAR-10 has one label, CIFAR-100 a coarse one
and then the fine one, which is used.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from invsearch.data.dataset import DataFormat
from invsearch.data.formats.arrays import labelled
from invsearch.data.splits import Labelled, Splits, numbered_classes
from invsearch.errors import InputError

__all__ = ["FORMAT"]

_SIDE = 32


@dataclass(frozen=True)
class _Layout:
    """One of the two sets: its folder in the archive, its files, its labels."""

    folder: str
    train: tuple[str, ...]
    test: str
    names: str
    labels: int

    def place(self, path: Path) -> Path:
        """Where the files are: the folder itself, or the one that the archive makes in it."""
        inside = path / self.folder
        return inside if inside.is_dir() else path


_LAYOUTS = (
    _Layout(
        "cifar-10-batches-bin",
        tuple(f"data_batch_{number}.bin" for number in range(1, 6)),
        "test_batch.bin",
        "batches.meta.txt",
        1,
    ),
    _Layout("cifar-100-binary", ("train.bin",), "test.bin", "fine_label_names.txt", 2),
)


def _layout(path: Path) -> _Layout | None:
    for one in _LAYOUTS:
        place = one.place(path)
        if any((place / file).is_file() for file in (*one.train, one.test)):
            return one
    return None


def _missing(path: Path) -> str | None:
    layout = _layout(path)
    assert layout is not None
    place = layout.place(path)
    absent = [file for file in (*layout.train, layout.test) if not (place / file).is_file()]
    return f"{place} has no file {absent[0]}" if absent else None


def _open(path: Path) -> Splits:
    layout = _layout(path)
    assert layout is not None
    place = layout.place(path)
    parts = [_records(place / file, layout.labels) for file in layout.train]
    images, labels = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    train = labelled(images, labels, f"{place}: train")
    test = _labelled(place / layout.test, layout.labels)
    classes = _names(place / layout.names, numbered_classes(train.labels, str(place)))
    return Splits(str(place), classes, train, None, test)


def _labelled(path: Path, labels: int) -> Labelled:
    return labelled(*_records(path, labels), str(path))


def _records(path: Path, labels: int) -> tuple[np.ndarray, np.ndarray]:
    """Return uint8 images (N, 32, 32, 3) and labels (N,)."""
    size = labels + 3 * _SIDE**2
    data = np.fromfile(path, dtype=np.uint8)
    if not len(data) or len(data) % size:
        raise InputError(f"{path}: {len(data):,} bytes are no whole number of {size}-byte records")
    records = data.reshape(-1, size)
    planes = records[:, labels:].reshape(-1, 3, _SIDE, _SIDE)
    return planes.transpose(0, 2, 3, 1).copy(), records[:, labels - 1].astype(np.int64)


def _names(path: Path, numbered: tuple[str, ...]) -> tuple[str, ...]:
    """The classes' names, where the file with them is there."""
    names = path.read_text(encoding="utf-8").split() if path.is_file() else []
    return tuple(names) if len(names) == len(numbered) else numbered


FORMAT = DataFormat(
    "CIFAR's binary version (data_batch_1.bin, ... or train.bin and test.bin)",
    lambda path: path.is_dir() and _layout(path) is not None,
    _open,
    _missing,
)
