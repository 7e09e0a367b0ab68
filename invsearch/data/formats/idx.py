"""MNIST's files and Fashion-MNIST's: ``train-images-idx3-ubyte`` and its like, or with ``.gz``.

The format: a big-endian magic number whose last byte is the number of dimensions, the dimensions,
the bytes (http://yann.lecun.com/exdb/mnist/).
"""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np

from invsearch.data.dataset import DataFormat
from invsearch.data.formats.arrays import labelled
from invsearch.data.splits import Splits, numbered_classes
from invsearch.errors import InputError

__all__ = ["FORMAT", "read_idx"]

_UBYTE = 0x08  # the magic number's third byte
_FILES = (
    ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
)


def _there(folder: Path, name: str) -> Path | None:
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    return None


def _missing(folder: Path) -> str | None:
    absent = [name for pair in _FILES for name in pair if _there(folder, name) is None]
    return f"{folder} has no file {absent[0]} or {absent[0]}.gz" if absent else None


def read_idx(path: Path) -> np.ndarray:
    """Read one file, gzipped or not.

    Returns:
        uint8, of the dimensions that it states.

    Raises:
        InputError: If it is damaged.
    """
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rb") as file:
            data = file.read()
        if data[:3] != bytes([0, 0, _UBYTE]):
            raise ValueError("the magic number is another")
        shape = struct.unpack_from(f">{data[3]}I", data, 4)
        return np.frombuffer(data, np.uint8, offset=4 + 4 * len(shape)).reshape(shape)
    except (OSError, EOFError, ValueError, IndexError, struct.error) as error:
        raise InputError(f"{path}: cannot be read as idx: {error}") from error


def _open(folder: Path) -> Splits:
    parts = []
    for names in _FILES:
        images, labels = (_there(folder, name) for name in names)
        assert images is not None
        assert labels is not None
        parts.append(labelled(read_idx(images), read_idx(labels), str(images)))
    train, test = parts
    return Splits(str(folder), numbered_classes(train.labels, str(folder)), train, None, test)


FORMAT = DataFormat(
    "MNIST's four files (train-images-idx3-ubyte.gz, ...)",
    lambda path: any(_there(path, name) for pair in _FILES for name in pair),
    _open,
    _missing,
)
