"""``mixup``: each image a weighted mean of two (Zhang and others, 2017)."""

from __future__ import annotations

import torch
from torch import Tensor

from invsearch.train.augment.augmentation import About, Augment, Augmentation, Pair
from invsearch.train.augment.mixing import beta, mixed_targets, partners

__all__ = ["MIXUP"]

_MOST = 10.0  # of alpha: there the two are mixed half and half, give or take a tenth


def _make(strength: float, about: About) -> Augment:
    def augmented(images: Tensor, targets: Tensor, generator: torch.Generator) -> Pair:
        share = beta(strength, len(images), generator).to(images.device)
        weight = share.view(-1, 1, 1, 1)
        mixed = weight * images + (1 - weight) * partners(images)
        return mixed, mixed_targets(targets, share, about.classes)

    return augmented


MIXUP = Augmentation(_make, place=40, mixes=True, most=_MOST)
"""Its strength is the alpha of the paper: the weight is from Beta(alpha, alpha)."""
