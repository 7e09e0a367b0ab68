"""``randaugment``: some operations drawn for each image, all of one magnitude (Cubuk et al., 2019).

The operations and their ranges are those of torchvision's RandAugment, without autocontrast and
equalize, which know no magnitude: identity, shear along x and along y, translation along x and
along y, rotation, brightness, colour, contrast, sharpness, posterize, solarize. Magnitudes are from
0, which changes nothing, to 30. Images are moved about their middle, and what that uncovers becomes
the mean.

No image waits for another's draw: the three kinds of operations - those that move pixels, those
that blend with another image, and those that change levels - run on all images at once, and each
image takes the one that it drew.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from invsearch.data import IGNORED
from invsearch.train.augment.augmentation import About, Augment, Augmentation, Pair, drawn
from invsearch.train.augment.pixels import Pixels, blended, grey

__all__ = ["MOST", "OPERATIONS", "RANDAUGMENT", "changed_levels", "moved", "moved_masks"]

MOVES = ("shear_x", "shear_y", "translate_x", "translate_y", "rotate")
BLENDS = ("brightness", "colour", "contrast", "sharpness")
LEVELS = ("posterize", "solarize")
OPERATIONS = ("identity", *MOVES, *BLENDS, *LEVELS)
_NUMBER = {name: number for number, name in enumerate(OPERATIONS)}

MOST = 30.0  # the largest magnitude of the paper (Cubuk et al., 2020)
_SHEAR, _TURN, _BLEND = 0.3, math.radians(30), 0.9  # at the largest magnitude
_WAY = 150 / 331  # of a translation, as a share of the side: that of the paper's images
_BITS = 4  # of the 8 that posterize drops at the largest magnitude


def _matrices(operation: Tensor, amount: Tensor) -> Tensor:
    """Where a pixel comes from, in the units of grid_sample: float32 (B, 2, 3).

    Args:
        operation: Which of :data:`OPERATIONS`, int64 (B,); what does not move pixels is as it is.
        amount: The magnitude as a share of the largest, with a sign; float32 (B,).
    """
    own = {name: amount * (operation == _NUMBER[name]) for name in MOVES}
    turn = own["rotate"] * _TURN
    cosine, sine = torch.cos(turn), torch.sin(turn)
    rows = [
        torch.stack([cosine, own["shear_x"] * _SHEAR - sine, own["translate_x"] * 2 * _WAY], 1),
        torch.stack([own["shear_y"] * _SHEAR + sine, cosine, own["translate_y"] * 2 * _WAY], 1),
    ]
    return torch.stack(rows, dim=1)


def _among(operation: Tensor, names: tuple[str, ...]) -> Tensor:
    return (operation >= _NUMBER[names[0]]) & (operation <= _NUMBER[names[-1]])


def moved(images: Tensor, operation: Tensor, amount: Tensor) -> Tensor:
    """Images after those of the operations that move pixels, bilinear; 0 where nothing was."""
    grid = F.affine_grid(_matrices(operation, amount), list(images.shape), align_corners=False)
    sampled = F.grid_sample(images, grid.to(images.dtype), align_corners=False)
    return torch.where(_among(operation, MOVES).view(-1, 1, 1, 1), sampled, images)


def moved_masks(masks: Tensor, operation: Tensor, amount: Tensor) -> Tensor:
    """The same of masks, uint8 (B, H, W), to the nearest pixel; of no class where nothing was."""
    shape = [len(masks), 1, *masks.shape[1:]]
    grid = F.affine_grid(_matrices(operation, amount), shape, align_corners=False)
    around = masks.float().unsqueeze(1) - IGNORED  # so that the 0 outside means of no class
    sampled = F.grid_sample(around, grid, mode="nearest", align_corners=False) + IGNORED
    found = sampled.squeeze(1).round().to(masks.dtype)
    return torch.where(_among(operation, MOVES).view(-1, 1, 1), found, masks)


def changed_levels(images: Tensor, operation: Tensor, amount: Tensor) -> Tensor:
    """Images in [0, 1] after those of the operations that leave pixels in their places."""
    light = grey(images)
    others = {
        "brightness": torch.zeros_like(images),
        "colour": light.expand_as(images),
        "contrast": light.mean((2, 3), keepdim=True).expand_as(images),
        "sharpness": _smooth(images),
    }
    other = images
    for name, one in others.items():
        other = torch.where(_is(operation, name), one, other)
    made = torch.where(
        _among(operation, BLENDS).view(-1, 1, 1, 1),
        blended(images, other, 1 + _BLEND * amount),
        images,
    )
    share = amount.abs().view(-1, 1, 1, 1)
    made = torch.where(_is(operation, "posterize"), _posterized(images, share), made)
    inverted = torch.where(images > 1 - share, 1 - images, images)
    return torch.where(_is(operation, "solarize"), inverted, made)


def _is(operation: Tensor, name: str) -> Tensor:
    return (operation == _NUMBER[name]).view(-1, 1, 1, 1)


def _posterized(images: Tensor, share: Tensor) -> Tensor:
    """Without as many of a pixel's eight bits; without none they may lie between two levels."""
    step = 2.0 ** torch.round(share * _BITS)
    fewer = torch.floor((images * 255).round() / step) * step / 255
    return torch.where(step > 1, fewer, images)


def _smooth(images: Tensor) -> Tensor:
    """A mean of each pixel and its neighbours; those at the edge as they are, as in Pillow."""
    if min(images.shape[2:]) < 3:
        return images
    kernel = images.new_tensor([[1.0, 1.0, 1.0], [1.0, 5.0, 1.0], [1.0, 1.0, 1.0]]) / 13
    channels = images.shape[1]
    inner = F.conv2d(images, kernel.expand(channels, 1, 3, 3), groups=channels)
    smooth = images.clone()
    smooth[:, :, 1:-1, 1:-1] = inner
    return smooth


def _make(strength: float, about: About) -> Augment:
    share, rounds = strength / MOST, about.recipe.randaugment_operations
    pixels = Pixels.of(about, "randaugment")

    def augmented(images: Tensor, targets: Tensor, generator: torch.Generator) -> Pair:
        for _ in range(rounds):
            operation, amount = _drawn(len(images), share, generator, images.device)
            images = moved(images, operation, amount)
            if about.dense:
                targets = moved_masks(targets, operation, amount)
            changed = changed_levels(pixels.seen(images), operation, amount)
            in_place = (operation >= _NUMBER[BLENDS[0]]).view(-1, 1, 1, 1)
            images = torch.where(in_place, pixels.normalised(changed), images)
        return images, targets

    return augmented


def _drawn(count: int, share: float, generator: torch.Generator, where: torch.device) -> Pair:
    """Of each image its operation, and its magnitude with a sign that is as often minus."""
    operation = (drawn(generator, count) * len(OPERATIONS)).long()
    amount = share * torch.where(drawn(generator, count) < 0.5, -1.0, 1.0)
    return operation.to(where), amount.to(where)


RANDAUGMENT = Augmentation(_make, place=21, most=MOST)
"""Its strength is the magnitude; how many operations an image gets the recipe says."""
