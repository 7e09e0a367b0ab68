"""The augmentations that a recipe names, one after another, as one."""

from __future__ import annotations

import torch
from torch import Tensor

from invsearch.data import ImageData
from invsearch.plugins import AUGMENTATIONS
from invsearch.train.augment.augmentation import About, Augment, Augmentation, Pair, drawn
from invsearch.train.recipe import Recipe

__all__ = ["augmentation_of"]


def augmentation_of(recipe: Recipe, data: ImageData) -> Augment:
    """The augmentation that a recipe names.

    Args:
        recipe: Names them, with their strengths.
        data: What is augmented.

    Raises:
        InputError: If a strength is out of range, or one does not go with the data.
    """
    about = About.of(data, recipe)
    rows = [
        (AUGMENTATIONS.get(name, Augmentation), name, strength)
        for name, strength in recipe.strengths().items()
    ]
    rows.sort(key=lambda row: row[0].place)
    one_by_one = [row.made(name, strength, about) for row, name, strength in rows if not row.mixes]
    mixing = [row.made(name, strength, about) for row, name, strength in rows if row.mixes]
    steps = [*one_by_one, *([_one_of(mixing)] if mixing else [])]

    def augmented(images: Tensor, targets: Tensor, generator: torch.Generator) -> Pair:
        for step in steps:
            images, targets = step(images, targets, generator)
        return images, targets

    return augmented


def _one_of(mixing: list[Augment]) -> Augment:
    """Each image is mixed in one of the ways, all as likely."""
    if len(mixing) == 1:
        return mixing[0]

    def augmented(images: Tensor, targets: Tensor, generator: torch.Generator) -> Pair:
        turn = (drawn(generator, len(images)) * len(mixing)).long().to(images.device)
        made = [one(images, targets, generator) for one in mixing]
        new_images, new_targets = made[0]
        for number, (others, truth) in enumerate(made[1:], 1):
            mine = turn == number
            new_images = torch.where(mine.view(-1, 1, 1, 1), others, new_images)
            new_targets = torch.where(mine.view(-1, 1), truth, new_targets)
        return new_images, new_targets

    return augmented
