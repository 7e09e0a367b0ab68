"""``digits``: the 1,797 handwritten digits (8 x 8, grey) that scikit-learn carries: no download."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from invsearch.data.dataset import Dataset, Wanted
from invsearch.data.images import ImageData, standardise, stratified_subset

__all__ = ["DIGITS"]

_VALIDATION_IMAGES = 500  # a standard error of one point or less, and 1,297 are left to train on
_SPLIT_SEED = 0  # any, and never another: runs are compared on the same images


def _load(wanted: Wanted) -> ImageData:
    """One fixed stratified split: 1,297 to train, 500 to validate; never as uint8 pixels."""
    # scikit-learn takes a second to import, so only where digits are used
    from sklearn import datasets, model_selection

    digits = datasets.load_digits()
    images = torch.from_numpy(digits.images).float().unsqueeze(1)
    labels = torch.from_numpy(digits.target).long()
    train, val = (
        torch.tensor(rows)
        for rows in model_selection.train_test_split(
            range(len(labels)),
            test_size=_VALIDATION_IMAGES,
            stratify=digits.target,
            random_state=_SPLIT_SEED,
        )
    )
    train = train[stratified_subset(labels[train], wanted.data_fraction, wanted.seed)]
    train_images, val_images = standardise(
        _resize(images[train], wanted.resolution), _resize(images[val], wanted.resolution)
    )
    return ImageData(
        train_images=train_images,
        train_labels=labels[train],
        val_images=val_images,
        val_labels=labels[val],
        num_classes=10,
        name="digits",
        mirrors=False,
        data_fraction=wanted.data_fraction,
    )


def _resize(images: Tensor, resolution: int | None) -> Tensor:
    if resolution is None or resolution == images.shape[-1]:
        return images
    size = (resolution, resolution)
    return F.interpolate(images, size=size, mode="bilinear", antialias=True, align_corners=False)


DIGITS = Dataset(_load)
