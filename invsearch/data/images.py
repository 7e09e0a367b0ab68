"""ImageData: a training and a validation set as tensors, and how they are made comparable."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["ImageData", "standardise", "stratified_subset"]


@dataclass(frozen=True, eq=False)
class ImageData:
    """A training and a validation set held in memory.

    Loaded data may be shared within a process: never write into its tensors.

    Attributes:
        train_images: float32 (N, C, H, W); every channel has mean 0 and deviation 1 over the set.
        train_labels: int64 (N,), from 0.
        val_images: float32 (M, C, H, W), normalised by the training set's mean and deviation.
        val_labels: int64 (M,).
        num_classes: Number of classes.
        name: The data set's name, or the folder it was read from.
        mirrors: Whether a mirrored image keeps its class (not so for digits).
        data_fraction: Fraction of the training set that was kept.
    """

    train_images: Tensor
    train_labels: Tensor
    val_images: Tensor
    val_labels: Tensor
    num_classes: int
    name: str
    mirrors: bool = True
    data_fraction: float = 1.0

    @property
    def channels(self) -> int:
        """Channels of an image (1 for digits): a network's ``in_channels``."""
        return self.train_images.shape[1]

    @property
    def resolution(self) -> int:
        """Side of the square images, in pixels."""
        return self.train_images.shape[-1]


def stratified_subset(labels: Tensor, fraction: float, seed: int) -> Tensor:
    """Return sorted indices of a seeded random subset with every class in its share.

    Args:
        labels: int64 (N,).
        fraction: In (0, 1]; at least one image of each class is kept.
        seed: Which subset.
    """
    if fraction >= 1:
        return torch.arange(len(labels))
    generator = torch.Generator().manual_seed(seed)
    kept = []
    for label in labels.unique():
        members = (labels == label).nonzero().flatten()
        count = max(1, round(fraction * len(members)))
        kept.append(members[torch.randperm(len(members), generator=generator)[:count]])
    return torch.cat(kept).sort().values


def standardise(train: Tensor, val: Tensor) -> tuple[Tensor, Tensor]:
    """Return both sets in float32, normalised by the first one's mean and deviation per channel.

    Args:
        train: (N, C, H, W), any real dtype.
        val: (M, C, H, W), of the same scale.
    """
    train, val = train.float(), val.float()
    deviation, mean = torch.std_mean(train, dim=(0, 2, 3), correction=0, keepdim=True)
    deviation = deviation.clamp_min(1e-6)
    return (train - mean) / deviation, (val - mean) / deviation
