"""``cutout``: a square cut out (DeVries and Taylor, 2017)."""

from __future__ import annotations

import torch
from torch import Tensor

from invsearch.train.augment.augmentation import About, Augment, Augmentation

__all__ = ["CUTOUT", "cut_out"]


def cut_out(images: Tensor, generator: torch.Generator, *, share: float) -> Tensor:
    """Set a square of each image to 0, the mean of a normalised set.

    Args:
        images: (B, C, H, W).
        generator: On the CPU, or on the images' device.
        share: The square's side as a fraction of the image's. Its middle is anywhere in the image,
            so part of it may lie outside.

    Returns:
        New images, (B, C, H, W).
    """
    batch, _, *sides = images.shape
    inside = []
    for side in sides:
        length = max(1, round(share * side))
        where = generator.device
        middle = torch.randint(0, side, (batch, 1), generator=generator, device=where)
        first, places = middle - length // 2, torch.arange(side, device=where)
        inside.append((places >= first) & (places < first + length))
    square = inside[0].unsqueeze(2) & inside[1].unsqueeze(1)
    return images.masked_fill(square.unsqueeze(1).to(images.device), 0.0)


def _make(strength: float, about: About) -> Augment:
    return lambda images, targets, generator: (cut_out(images, generator, share=strength), targets)


CUTOUT = Augmentation(_make, place=31)
