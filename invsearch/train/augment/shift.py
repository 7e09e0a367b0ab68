"""``augment``: a shift by whole pixels and a mirror image."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from invsearch.data import IGNORED
from invsearch.train.augment.augmentation import About, Augment, Augmentation, Pair, drawn

__all__ = ["SHIFT", "augment"]


def augment(images: Tensor, generator: torch.Generator, *, mirrors: bool) -> Tensor:
    """Shift each image by up to an eighth of its side, and mirror every other one at random.

    Args:
        images: (B, C, H, W); what a shift uncovers becomes 0, the mean of a normalised set.
        generator: On the CPU, or on the images' device: then nothing waits for the device.
        mirrors: Whether to mirror.

    Returns:
        New images, (B, C, H, W).
    """
    reach = _reach(images)
    rows, columns = _sources(images, generator, reach, mirrors=mirrors)
    return _picked(images, rows, columns, reach, 0.0)


def _make(strength: float, about: About) -> Augment:
    shifts = not about.recipe.crop  # a random crop moves what it shows already

    def augmented(images: Tensor, targets: Tensor, generator: torch.Generator) -> Pair:
        reach = _reach(images) if shifts else 0
        rows, columns = _sources(images, generator, reach, mirrors=about.mirrors)
        moved = _picked(images, rows, columns, reach, 0.0)
        if about.dense:
            masks = _picked(targets.unsqueeze(1), rows, columns, reach, IGNORED)
            return moved, masks.squeeze(1)
        return moved, targets

    return augmented


def _reach(images: Tensor) -> int:
    return max(1, images.shape[2] // 8)


def _sources(
    images: Tensor, generator: torch.Generator, reach: int, *, mirrors: bool
) -> tuple[Tensor, Tensor]:
    """Of each image's rows and columns, those of the padded image that they show; int64 (B, H)."""
    batch, _, height, width = images.shape
    where = generator.device
    shift = torch.randint(0, 2 * reach + 1, (2, batch, 1), generator=generator, device=where)
    mirrored = drawn(generator, batch, 1) < (0.5 if mirrors else 0.0)
    rows = shift[0] + torch.arange(height, device=where)
    columns = torch.arange(width, device=where).expand(batch, width)
    columns = shift[1] + torch.where(mirrored, width - 1 - columns, columns)
    return rows.to(images.device), columns.to(images.device)


def _picked(images: Tensor, rows: Tensor, columns: Tensor, reach: int, fill: float) -> Tensor:
    padded = F.pad(images, (reach,) * 4, value=fill)
    index = torch.arange(len(images), device=images.device).view(-1, 1, 1)
    picked = padded[index, :, rows.unsqueeze(2), columns.unsqueeze(1)]
    return picked.permute(0, 3, 1, 2).contiguous()


SHIFT = Augmentation(_make, place=11)
