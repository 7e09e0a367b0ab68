"""``fashion_mnist``: 20,000 grey images of clothes at 14 px, in the package: no download.

Fashion-MNIST (Xiao, Rasul and Vollgraf, 2017; MIT licence, which travels along) has 70,000 images
of 28 px. Of its training images the first thousand of each class are kept, of its test images all,
each halved in size by the mean of four pixels. The file is made again, byte for byte, from the four
published files, which Debian has in the package ``dataset-fashion-mnist``::

    python -m invsearch.data.fashion_mnist /usr/share/datasets/fashion-mnist

The whole set, at 28 px: ``accuracy: {dataset: fashion_mnist, folder: FOLDER-OF-THE-FOUR-FILES}``.
"""

from __future__ import annotations

import sys
import zipfile
from dataclasses import replace
from functools import lru_cache
from io import BytesIO
from pathlib import Path

import numpy as np

from invsearch.atomic import write_atomic
from invsearch.data.dataset import Dataset
from invsearch.data.decode import image_data
from invsearch.data.formats import arrays
from invsearch.data.formats.idx import read_idx
from invsearch.data.splits import Splits, held_out

__all__ = ["FASHION_MNIST", "convert"]

FILE = Path(__file__).parent / "embedded" / "fashion_mnist.npz"
_CLASSES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag",
    "Ankle boot",
)  # fmt: skip
_PER_CLASS = 1_000  # training images: 2.3 MB with the test images, and more than a search uses
_VALIDATION = 0.2  # 2,000 images: the standard error of an error of 15 % is 0.8 points
_LONG_AGO = (1980, 1, 1, 0, 0, 0)  # the first date that a zip file can hold


@lru_cache(maxsize=1)  # 4 MB, decompressed in a tenth of a second
def _splits() -> Splits:
    whole = arrays.splits_of(arrays.read(FILE), "fashion_mnist", _CLASSES)
    train, val = held_out(whole.train.labels, _VALIDATION)
    return replace(whole, train=whole.train.at(train), val=whole.train.at(val))


FASHION_MNIST = Dataset(
    lambda wanted: image_data(_splits(), "fashion_mnist", wanted), classes=10, splits=_splits
)


def convert(folder: Path, target: Path) -> None:
    """Make the package's file from Fashion-MNIST's four files.

    Args:
        folder: Where they are, gzipped.
        target: The file; equal inputs give equal bytes.

    Raises:
        InputError: If a file cannot be read.
    """
    images, labels = _read(folder, "train")
    kept = np.sort(np.concatenate([np.flatnonzero(labels == c)[:_PER_CLASS] for c in range(10)]))
    test_images, test_labels = _read(folder, "t10k")
    made = {
        "train_images": _halved(images[kept]),
        "train_labels": labels[kept],
        "test_images": _halved(test_images),
        "test_labels": test_labels,
    }
    target.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(target, _zipped(made))


def _read(folder: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    return (
        read_idx(folder / f"{part}-images-idx3-ubyte.gz"),
        read_idx(folder / f"{part}-labels-idx1-ubyte.gz"),
    )


def _halved(images: np.ndarray) -> np.ndarray:
    """Half of the side: the rounded mean of each four pixels."""
    count, height, width = images.shape
    fours = images.reshape(count, height // 2, 2, width // 2, 2).astype(np.uint16)
    return np.asarray((fours.sum(axis=(2, 4)) + 2) // 4, dtype=np.uint8)


def _zipped(made: dict[str, np.ndarray]) -> bytes:
    """What np.savez_compressed writes, without the time at which it was written, and smaller."""
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, array in made.items():
            file = BytesIO()
            np.save(file, array, allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy", _LONG_AGO)
            archive.writestr(entry, file.getvalue(), zipfile.ZIP_LZMA)
    return buffer.getvalue()


if __name__ == "__main__":
    convert(Path(sys.argv[1]), FILE)
