"""The augmentations that a recipe names, one after another, as one."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from invsearch.data import ImageData
from invsearch.plugins import AUGMENTATIONS
from invsearch.train.augment.augmentation import (
    About,
    Augment,
    Augmentation,
    Boxing,
    Pair,
    drawn,
)
from invsearch.train.recipe import Recipe

__all__ = ["Chain", "augmentation_of"]


@dataclass(frozen=True, eq=False)
class Chain:
    """Augmentations one after another; called as one.

    Attributes:
        steps: Each of them.
        boxing: What draws the boxes of the first one, where it is one that only shows boxes.
    """

    steps: tuple[Augment, ...]
    boxing: Boxing | None = None

    def __call__(self, images: Tensor, targets: Tensor, generator: torch.Generator) -> Pair:
        for step in self.steps:
            images, targets = step(images, targets, generator)
        return images, targets

    def after_boxes(self) -> Chain:
        """The same without the first one, for images of which the boxes are cut already."""
        return Chain(self.steps[1:])


def augmentation_of(recipe: Recipe, data: ImageData) -> Chain:
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
    one_by_one = [row for row in rows if not row[0].mixes]
    made = [row.made(name, strength, about) for row, name, strength in one_by_one]
    mixing = [row.made(name, strength, about) for row, name, strength in rows if row.mixes]
    boxing = None
    if one_by_one and one_by_one[0][0].boxing is not None:
        boxing = one_by_one[0][0].boxing(one_by_one[0][2])
    return Chain((*made, *([_one_of(mixing)] if mixing else [])), boxing)


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
