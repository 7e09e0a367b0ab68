"""Every data set of the table, and every format of a folder, pass the suite of third parties."""

from __future__ import annotations

import csv
import gzip
import io
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from test_masks import write_masks

from invsearch.data.formats import FORMATS, pickles
from invsearch.plugins import DATASETS
from invsearch.testing import DatasetConformance

CLASSES, PER_CLASS = 10, 8


def noise(count: int, side: int = 8, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def write_parquet(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for seed, (file, count) in enumerate((("train.parquet", 80), ("test.parquet", 20))):
        images = [png(one) for one in noise(count, seed=seed)]
        table = {"image": images, "label": [row % CLASSES for row in range(count)]}
        pq.write_table(pa.table(table), folder / file)
    return folder


def write_arrays(folder: Path) -> Path:
    folder.mkdir(parents=True)
    labels = np.arange(CLASSES * PER_CLASS) % CLASSES
    images = noise(len(labels))
    np.savez(folder / "a.npz", train_images=images, train_labels=labels)
    return folder / "a.npz"


def write_images(folder: Path, parts: tuple[str, ...] = ("train", "val", "test")) -> Path:
    for seed, part in enumerate(parts):
        for number, pixels in enumerate(noise(CLASSES * PER_CLASS, seed=seed)):
            place = folder / part / f"class{number % CLASSES}"
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(place / f"{number}.png")
    return folder


def write_table(folder: Path) -> Path:
    write_images(folder, ("train",))
    with (folder / "photos.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label"])
        for path in sorted(folder.rglob("*.png")):
            writer.writerow([path.relative_to(folder), path.parent.name])
    return folder / "photos.csv"


def write_cifar(folder: Path) -> Path:
    place = folder / "cifar-10-batches-bin"
    place.mkdir(parents=True)
    files = [*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"]
    for seed, file in enumerate(files):
        planes = noise(20, 32, seed).transpose(0, 3, 1, 2).reshape(20, -1)
        labels = (np.arange(20) % CLASSES).astype(np.uint8)[:, None]
        np.hstack([labels, planes]).astype(np.uint8).tofile(place / file)
    return folder


def write_idx(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for seed, (part, count) in enumerate((("train", 80), ("t10k", 30))):
        images = noise(count, seed=seed)[..., 0]
        header = bytes([0, 0, 8, 3]) + struct.pack(">3I", count, 8, 8)
        data = gzip.compress(header + images.tobytes())
        (folder / f"{part}-images-idx3-ubyte.gz").write_bytes(data)
        labels = bytes(row % CLASSES for row in range(count))
        header = bytes([0, 0, 8, 1]) + struct.pack(">I", count)
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(header + labels)
    return folder


def write_tiny_imagenet(folder: Path) -> Path:
    write_images(folder, ("train",))
    val = folder / "val" / "images"
    val.mkdir(parents=True)
    lines = []
    for number, pixels in enumerate(noise(40, seed=1)):
        Image.fromarray(pixels).save(val / f"val_{number}.png")
        lines.append(f"val_{number}.png\tclass{number % CLASSES}\t0\t0\t7\t7\n")
    (folder / "val" / "val_annotations.txt").write_text("".join(lines))
    return folder


WRITERS: dict[str, Callable[[Path], Path]] = {
    "parquet": write_parquet,
    "arrays": write_arrays,
    "tables": write_table,
    "cifar_binary": write_cifar,
    "idx": write_idx,
    "tiny_imagenet": write_tiny_imagenet,
    "image_folder": write_images,
    "image_masks": lambda folder: write_masks(folder, size=(8, 8)),
}


class TestDigits(DatasetConformance):
    dataset = "digits"


class TestFashionMnist(DatasetConformance):
    dataset = "fashion_mnist"


class _Found(DatasetConformance):
    """In a folder that the variable names, with a stand-in of few images and classes."""

    @pytest.fixture
    def name(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
        write_parquet(tmp_path / self.dataset)
        monkeypatch.setenv("INVSEARCH_DATA", str(tmp_path))
        return self.dataset


class TestCifar10(_Found):
    dataset = "cifar10"


class TestCifar100(_Found):
    dataset = "cifar100"


class TestTinyImagenet(_Found):
    dataset = "tiny_imagenet"


class TestImagenet(_Found):
    dataset = "imagenet"


@pytest.mark.parametrize("form", WRITERS)
class TestFormats(DatasetConformance):
    """Folders and files, each in its own way; what they lack is split off."""

    @pytest.fixture
    def name(self, form: str, tmp_path: Path) -> str:
        return str(WRITERS[form](tmp_path / "data"))


def test_every_row_is_tested() -> None:
    tested = (TestDigits, TestFashionMnist, *_Found.__subclasses__())
    assert set(DATASETS) == {one.dataset for one in tested}
    assert len(WRITERS) == len([one for one in FORMATS if one is not pickles.FORMAT])
