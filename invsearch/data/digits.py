"""``digits``: the 1,797 handwritten digits (8 x 8, grey) that scikit-learn carries: no download."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from invsearch.data.dataset import Dataset, Wanted
from invsearch.data.images import ImageData, Scale, stratified_subset

__all__ = ["DIGITS", "digit_parts"]

_HELD_OUT_IMAGES = 500  # 1,297 are left to train on, as ever: earlier trainings stay comparable
_TEST_IMAGES = 200  # of those held out; the other 300 are to choose by
_SPLIT_SEED = 0  # any, and never another: runs are compared on the same images


@lru_cache(maxsize=1)
def _parts() -> tuple[Any, dict[str, Tensor]]:
    """The digits, and one fixed stratified division of their rows."""
    # scikit-learn takes a second to import, so only where digits are used
    from sklearn import datasets, model_selection

    digits = datasets.load_digits()

    def divided(rows: Any, size: int) -> Any:
        return model_selection.train_test_split(
            rows, test_size=size, stratify=digits.target[rows], random_state=_SPLIT_SEED
        )

    train, held_out = divided(range(len(digits.target)), _HELD_OUT_IMAGES)
    val, test = divided(held_out, _TEST_IMAGES)
    parts = {"train": train, "val": val, "test": test}
    return digits, {name: torch.tensor(rows) for name, rows in parts.items()}


def digit_parts(part: str) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The digits of one of the three sets: images (N, 8, 8) with levels 0 to 16, and labels (N,).

    Args:
        part: ``train``, ``val`` or ``test``.
    """
    digits, parts = _parts()
    rows = parts[part].numpy()
    return digits.images[rows], digits.target[rows]


def _load(wanted: Wanted) -> ImageData:
    """Never as uint8 pixels: they have 17 levels, and resizing would round them."""
    digits, parts = _parts()
    images = torch.from_numpy(digits.images).float().unsqueeze(1)
    labels = torch.from_numpy(digits.target).long()
    train, val, test = (parts[name] for name in ("train", "val", "test"))
    train = train[stratified_subset(labels[train], wanted.data_fraction, wanted.seed)]
    images = _resize(images, wanted.resolution)
    scale = Scale.of(images[train])
    return ImageData(
        train_images=scale(images[train]),
        train_labels=labels[train],
        val_images=scale(images[val]),
        val_labels=labels[val],
        num_classes=10,
        name="digits",
        mirrors=False,
        data_fraction=wanted.data_fraction,
        make_test=lambda: (scale(images[test]), labels[test]),
        classes=tuple("0123456789"),
        normalisation=scale,
        white=16.0,
    )


def _resize(images: Tensor, resolution: int | None) -> Tensor:
    if resolution is None or resolution == images.shape[-1]:
        return images
    size = (resolution, resolution)
    return F.interpolate(images, size=size, mode="bilinear", antialias=True, align_corners=False)


DIGITS = Dataset(_load, classes=10, mirrors=False)
