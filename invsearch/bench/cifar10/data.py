"""The CIFAR-10 study's images: decoded once, then mapped by every process that trains."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from invsearch.data import ImageData, Scale, load_dataset
from invsearch.data.images import stratified_subset

__all__ = ["Images", "decode"]

_SUBSET_SEED = 0  # the same images in every training
_SETS = ("train", "val", "test")


@dataclass(frozen=True, eq=False)
class Images:
    """The three sets.

    Attributes:
        data: To train on, and to watch.
        test_images: uint8 (N, 3, 32, 32), looked at once.
        test_labels: int64 (N,).
    """

    data: ImageData
    test_images: Tensor
    test_labels: Tensor

    @classmethod
    def open(cls, folder: Path) -> Images:
        """Map what :func:`decode` wrote."""
        images, labels = {}, {}
        for name in _SETS:
            pixels = np.load(folder / f"{name}_images.npy", mmap_mode="c")
            images[name] = torch.from_numpy(pixels)
            labels[name] = torch.from_numpy(np.load(folder / f"{name}_labels.npy"))
        mean, deviation = torch.from_numpy(np.load(folder / "scale.npy"))
        data = ImageData(
            train_images=images["train"],
            train_labels=labels["train"],
            val_images=images["val"],
            val_labels=labels["val"],
            num_classes=10,
            name="cifar10",
            scale=Scale(mean, deviation),
        )
        return cls(data, images["test"], labels["test"])


def decode(source: Path, folder: Path, limit: int | None = None) -> dict[str, int]:
    """Decode parquet files into a folder and split the training images.

    Args:
        source: Holds ``train.parquet`` and ``test.parquet``.
        folder: Gets the arrays; exists.
        limit: About the most images of each file; None for all.

    Returns:
        How many images each set has.

    Raises:
        InputError: If the files cannot be used.
    """
    whole = load_dataset(str(source), pixels=True)
    count = len(whole.train_labels) + len(whole.val_labels)
    share = min(1.0, (limit or count) / count)
    trained, watched = (
        stratified_subset(labels, share, _SUBSET_SEED)
        for labels in (whole.train_labels, whole.val_labels)
    )
    sets = {
        "train": (whole.train_images[trained], whole.train_labels[trained]),
        "val": (whole.val_images[watched], whole.val_labels[watched]),
        "test": (whole.test_images[:limit], whole.test_labels[:limit]),
    }
    for name, (images, truth) in sets.items():
        np.save(folder / f"{name}_images.npy", images.contiguous().numpy())
        np.save(folder / f"{name}_labels.npy", truth.numpy())
    scale = Scale.of(sets["train"][0])
    np.save(folder / "scale.npy", torch.stack([scale.mean, scale.deviation]).numpy())
    return {name: len(truth) for name, (_, truth) in sets.items()}
