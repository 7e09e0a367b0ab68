"""Augmentation: one way to make other images of a batch's, on the device that they are on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from invsearch.data import ImageData, Scale
from invsearch.errors import InputError
from invsearch.train.augment.boxes import Boxes
from invsearch.train.augment.drawing import drawn

if TYPE_CHECKING:
    from invsearch.train.recipe import Recipe

__all__ = ["About", "Augment", "Augmentation", "Boxing", "Pair", "drawn"]

Pair = tuple[Tensor, Tensor]
"""Images, normalised, float32 (B, C, H, W), and their targets: labels, int64 (B,), probabilities of
the classes, float32 (B, classes), or masks, uint8 (B, H, W)."""


@dataclass(frozen=True, eq=False)
class About:
    """What an augmentation may need to know.

    Attributes:
        recipe: Which augmentations are asked for, and their settings.
        name: The data set's, for messages.
        classes: How many it has.
        mirrors: Whether a mirrored image keeps its class.
        scale: What the images were normalised by; None where nobody said.
        white: The largest value of a pixel, in the units of ``scale``.
        dense: Whether targets are masks.
    """

    recipe: Recipe
    name: str
    classes: int
    mirrors: bool = True
    scale: Scale | None = None
    white: float = 255.0
    dense: bool = False

    @classmethod
    def of(cls, data: ImageData, recipe: Recipe) -> About:
        """What there is to know of a data set."""
        return cls(
            recipe,
            data.name,
            data.num_classes,
            data.mirrors,
            data.scale or data.normalisation,
            data.white,
            data.dense,
        )


Boxing = Callable[[Sequence[int], torch.Generator], Boxes]
"""From the shape of a batch's images, (B, C, H, W), to the boxes that are shown of them: draws of
the generator's, on its device, as many whatever they are."""

Augment = Callable[[Tensor, Tensor, torch.Generator], Pair]
"""From a batch's images and targets, which it leaves as they are, to new ones, all random numbers
being the generator's, drawn on its device. It draws as many whatever the images show, and waits for
none of their values: a training that goes on within an epoch draws those of the steps before for
images of torch's device ``meta``, which have none."""


@dataclass(frozen=True)
class Augmentation:
    """One way to make other images of a batch's.

    Attributes:
        make: From its strength, which is above 0, and what there is to know, what does it. Raises
            InputError where it does not go with the data.
        place: Where it stands among others: lower comes first. 10 to 19 move pixels, 20 to 29
            change colours, 30 to 39 hide parts, and 40 and above mix images.
        mixes: Whether it mixes images of several classes, so that targets become probabilities. Of
            several such each image takes one.
        most: Its largest strength, for those who name it.
        boxing: From its strength, what draws boxes, where all that it does is to show a box of each
            image at the image's size. Then images that are decoded for a batch are cut as they are
            in their files, and it does nothing more.
    """

    make: Callable[[float, About], Augment]
    place: int = 20
    mixes: bool = False
    most: float = 1.0
    boxing: Callable[[float], Boxing] | None = None

    def made(self, name: str, strength: float, about: About) -> Augment:
        """What does it.

        Raises:
            InputError: If the strength is out of range, or it does not go with the data.
        """
        if not 0 < strength <= self.most:
            raise InputError(f"{name} {strength:g} is not in [0, {self.most:g}]")
        if self.mixes and about.dense:
            raise InputError(
                f"{name} mixes images of two classes, and in {about.name} every pixel has its own"
            )
        return self.make(strength, about)
