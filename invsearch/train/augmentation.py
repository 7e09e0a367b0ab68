"""What a recipe does to a training batch before the network sees it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from invsearch.train.augment import augment, cut_out
from invsearch.train.recipe import Recipe

__all__ = ["Augmentation", "augmentation_of"]

Augmentation = Callable[[Tensor, Tensor, torch.Generator], tuple[Tensor, Tensor]]
"""From a batch's normalised images, its targets and a generator to new images and targets.

It draws as many numbers whatever the images show: a training that goes on within an epoch draws
those of the steps before with blank images.
"""


def augmentation_of(recipe: Recipe, *, mirrors: bool) -> Augmentation:
    """The augmentation that a recipe names, one after another.

    Args:
        recipe: Names them.
        mirrors: Whether a mirrored image keeps its class.
    """

    def augmented(
        images: Tensor, targets: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        if recipe.augment:
            images = augment(images, generator, mirrors=mirrors)
        if recipe.cutout:
            images = cut_out(images, generator, share=recipe.cutout)
        return images, targets

    return augmented
