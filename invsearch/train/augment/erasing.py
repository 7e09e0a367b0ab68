"""``erasing``: a random box of some images set to the mean (Zhong and others, 2017)."""

from __future__ import annotations

import torch
from torch import Tensor

from invsearch.train.augment.augmentation import About, Augment, Augmentation, Pair, drawn
from invsearch.train.augment.boxes import random_boxes

__all__ = ["ERASING"]

_AREA = (0.02, 0.33)  # shares of the image, and ratios of the sides, as torchvision has them
_RATIO = (0.3, 3.3)


def _make(strength: float, about: About) -> Augment:
    def augmented(images: Tensor, targets: Tensor, generator: torch.Generator) -> Pair:
        erased = (drawn(generator, len(images)) < strength).to(images.device)
        boxes = random_boxes(images.shape, generator, _AREA, _RATIO).to(images.device)
        box = boxes.inside(images.shape[2], images.shape[3])
        box &= (erased & boxes.found).view(-1, 1, 1)
        return images.masked_fill(box.unsqueeze(1), 0.0), targets

    return augmented


ERASING = Augmentation(_make, place=30)
"""Its strength is the share of the images that lose a box."""
