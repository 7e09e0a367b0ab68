"""``cutmix``: a box of each image is another image's (Yun and others, 2019)."""

from __future__ import annotations

import torch
from torch import Tensor

from invsearch.train.augment.augmentation import About, Augment, Augmentation, Pair, drawn
from invsearch.train.augment.mixing import beta, mixed_targets, partners

__all__ = ["CUTMIX"]

_MOST = 10.0  # of alpha, as of mixup's


def _box(images: Tensor, generator: torch.Generator, alpha: float) -> Tensor:
    """Which pixels are the other image's; bool (B, H, W).

    The box has the image's proportions and one minus a Beta variable of its area; its middle is
    anywhere in the image, so part of it may lie outside.
    """
    batch, _, *sides = images.shape
    length = (1 - beta(alpha, batch, generator)).sqrt()
    middle = drawn(generator, 2, batch)
    inside: list[Tensor] = []
    for side, place in zip(sides, middle, strict=True):
        half = (length * side).long().unsqueeze(1) // 2
        centre = (place * side).long().unsqueeze(1)
        pixels = torch.arange(side, device=centre.device)
        inside.append((pixels >= centre - half) & (pixels < centre + half))
    return (inside[0].unsqueeze(2) & inside[1].unsqueeze(1)).to(images.device)


def _make(strength: float, about: About) -> Augment:
    def augmented(images: Tensor, targets: Tensor, generator: torch.Generator) -> Pair:
        box = _box(images, generator, strength)
        mixed = torch.where(box.unsqueeze(1), partners(images), images)
        share = 1 - box.float().mean((1, 2))  # of what lies in the image
        return mixed, mixed_targets(targets, share, about.classes)

    return augmented


CUTMIX = Augmentation(_make, place=41, mixes=True, most=_MOST)
"""Its strength is the alpha of the paper."""
