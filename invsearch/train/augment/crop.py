"""``crop``: a random part of each image, enlarged to its size (Szegedy and others, 2015)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from invsearch.train.augment.augmentation import About, Augment, Augmentation, Boxing, Pair
from invsearch.train.augment.boxes import Boxes, random_boxes

__all__ = ["CROP", "enlarged"]

_RATIO = (3 / 4, 4 / 3)  # of the box's sides, as in the paper on Inception and in torchvision


def enlarged(images: Tensor, boxes: Boxes) -> Tensor:
    """Resize what a box of each image shows to the image's size: bilinear, as torch's interpolate.

    Args:
        images: float (B, C, H, W).
        boxes: One an image.
    """
    height, width = images.shape[2:]
    rows = _sources(boxes.top, boxes.height, height)
    columns = _sources(boxes.left, boxes.width, width)
    grid = torch.stack(
        [
            _unit(columns, width).unsqueeze(1).expand(-1, height, -1),
            _unit(rows, height).unsqueeze(2).expand(-1, -1, width),
        ],
        dim=3,
    )
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def _enlarged_masks(masks: Tensor, boxes: Boxes) -> Tensor:
    """The same of masks (B, H, W): each pixel is that of the nearest one in the box."""
    height, width = masks.shape[1:]
    rows = _nearest(boxes.top, boxes.height, height).unsqueeze(2)
    columns = _nearest(boxes.left, boxes.width, width).unsqueeze(1)
    index = torch.arange(len(masks), device=masks.device).view(-1, 1, 1)
    return masks[index, rows, columns]


def _sources(first: Tensor, length: Tensor, side: int) -> Tensor:
    """Where each of ``side`` pixels lies in the image, in pixels; float32 (B, side).

    The middles of a box's outermost pixels are its edge: beyond them nothing of what lies around
    the box shows through.
    """
    first, length = first.float().unsqueeze(1), length.float().unsqueeze(1)
    places = (torch.arange(side, device=first.device) + 0.5) * length / side - 0.5
    return first + torch.minimum(places.clamp_min(0), length - 1)


def _nearest(first: Tensor, length: Tensor, side: int) -> Tensor:
    pixels = torch.arange(side, device=first.device)
    return first.unsqueeze(1) + (2 * pixels + 1) * length.unsqueeze(1) // (2 * side)


def _unit(pixels: Tensor, side: int) -> Tensor:
    """Pixels in the units of grid_sample, where an image's edges are -1 and 1."""
    return (2 * pixels + 1) / side - 1


def _boxing(strength: float) -> Boxing:
    return lambda shape, generator: random_boxes(shape, generator, (strength, 1.0), _RATIO)


def _make(strength: float, about: About) -> Augment:
    boxing = _boxing(strength)

    def augmented(images: Tensor, targets: Tensor, generator: torch.Generator) -> Pair:
        boxes = boxing(images.shape, generator).to(images.device)
        if about.dense:
            targets = _enlarged_masks(targets, boxes)
        return enlarged(images, boxes), targets

    return augmented


CROP = Augmentation(_make, place=10, boxing=_boxing)
