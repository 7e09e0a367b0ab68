"""``colour``: brightness, contrast and saturation of each image, at random."""

from __future__ import annotations

import torch
from torch import Tensor

from invsearch.train.augment.augmentation import About, Augment, Augmentation, Pair, drawn
from invsearch.train.augment.pixels import Pixels, blended, grey

__all__ = ["COLOUR", "jittered"]


def jittered(images: Tensor, factors: Tensor) -> Tensor:
    """Change brightness, contrast and saturation, in this order (torchvision draws the order too).

    Args:
        images: float32 (B, C, H, W) in [0, 1].
        factors: (3, B), around 1: brightness blends with black, contrast with the image's mean
            lightness, saturation with its grey image.
    """
    brightness, contrast, saturation = factors
    images = blended(images, images.new_zeros(()), brightness)
    images = blended(images, grey(images).mean((2, 3), keepdim=True), contrast)
    return blended(images, grey(images), saturation)


def _make(strength: float, about: About) -> Augment:
    pixels = Pixels.of(about, "colour")

    def augmented(images: Tensor, targets: Tensor, generator: torch.Generator) -> Pair:
        factors = 1 + strength * (2 * drawn(generator, 3, len(images)) - 1)
        changed = jittered(pixels.seen(images), factors.to(images.device))
        return pixels.normalised(changed), targets

    return augmented


COLOUR = Augmentation(_make, place=20)
"""Its strength is by how much each factor may differ from 1."""
