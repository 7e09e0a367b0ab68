"""Small data sets, written in every format that is read."""

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
from PIL import Image

from invsearch.data import IGNORED

CLASSES, PER_CLASS = 10, 8
MASK_CLASSES = 4


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


def write_cifar100(folder: Path) -> Path:
    """Records of a coarse label, a fine one, and the planes."""
    place = folder / "cifar-100-binary"
    place.mkdir(parents=True)
    for seed, file in enumerate(("train.bin", "test.bin")):
        planes = noise(80, 32, seed).transpose(0, 3, 1, 2).reshape(80, -1)
        fine = (np.arange(80) % CLASSES).astype(np.uint8)[:, None]
        np.hstack([fine // 5, fine, planes]).astype(np.uint8).tofile(place / file)
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


def write_masks(
    folder: Path, parts: tuple[str, ...] = ("train", "val", "test"), size: tuple[int, int] = (12, 8)
) -> Path:
    """Ten images a part; a pixel's red is 60 times its class, or 200 where it has none."""
    for seed, part in enumerate(parts):
        for place in (folder / "images" / part, folder / "masks" / part):
            place.mkdir(parents=True)
        generator = np.random.default_rng(seed)
        drawn = generator.integers(0, MASK_CLASSES + 1, (10, size[1], size[0]))
        for number, classes in enumerate(drawn):
            mask = np.where(classes == MASK_CLASSES, IGNORED, classes).astype(np.uint8)
            red = np.where(classes == MASK_CLASSES, 200, classes * 60).astype(np.uint8)
            pixels = np.stack([red, *generator.integers(0, 256, (2, *red.shape), np.uint8)], axis=2)
            Image.fromarray(pixels).save(folder / "images" / part / f"{number}.png")
            Image.fromarray(mask).save(folder / "masks" / part / f"{number}.png")
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
