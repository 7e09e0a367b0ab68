"""Colours: images as they look, in [0, 1], rather than normalised."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from invsearch.data import Scale
from invsearch.errors import InputError
from invsearch.train.augment.augmentation import About

__all__ = ["Pixels", "blended", "grey"]

_LUMA = (0.2989, 0.587, 0.114)  # of red, green and blue (ITU-R BT.601), as Pillow and torchvision


@dataclass(frozen=True, eq=False)
class Pixels:
    """From normalised images to those in [0, 1], and back.

    Attributes:
        scale: What they were normalised by.
        white: The largest value of a pixel, in its units.
    """

    scale: Scale
    white: float

    @classmethod
    def of(cls, about: About, name: str) -> Pixels:
        """What leads to the pixels of a data set.

        Args:
            about: Says how its images were normalised.
            name: The augmentation that wants to know, for messages.

        Raises:
            InputError: If nobody said how they were.
        """
        if about.scale is None:
            raise InputError(
                f"{name} changes colours, and the data set {about.name!r} does not say by what its "
                "images were normalised (ImageData.normalisation)"
            )
        return cls(about.scale, about.white)

    def seen(self, images: Tensor) -> Tensor:
        """Normalised images (B, C, H, W) as they look, in [0, 1]."""
        scale = self.scale.to(images.device)
        # a rounding of a step before, such as a crop, may lead out of it
        return ((images * scale.deviation + scale.mean) / self.white).clamp(0, 1)

    def normalised(self, pixels: Tensor) -> Tensor:
        """The other way round."""
        return self.scale.to(pixels.device)(pixels * self.white)


def grey(images: Tensor) -> Tensor:
    """How light each pixel is: (B, 1, H, W)."""
    if images.shape[1] != len(_LUMA):
        return images.mean(1, keepdim=True)
    weights = images.new_tensor(_LUMA).view(1, -1, 1, 1)
    return (images * weights).sum(1, keepdim=True)


def blended(images: Tensor, other: Tensor, factor: Tensor) -> Tensor:
    """``factor`` of the images and the rest of another, cut to [0, 1]; a factor of 1 is the images.

    Args:
        images: (B, C, H, W).
        other: Of a shape that expands to it.
        factor: (B,), at least 0; above 1 it leads away from the other.
    """
    return torch.lerp(other.expand_as(images), images, factor.view(-1, 1, 1, 1)).clamp(0, 1)
