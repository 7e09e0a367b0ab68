"""Augmentation of a batch: a shift by whole pixels, a mirror image, a square cut out."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["augment", "cut_out"]


def augment(images: Tensor, generator: torch.Generator, *, mirrors: bool) -> Tensor:
    """Shift each image by up to an eighth of its side, and mirror every other one at random.

    Args:
        images: (B, C, H, W); what a shift uncovers becomes 0, the mean of a normalised set.
        generator: On the CPU, or on the images' device: then nothing waits for the device.
        mirrors: Whether to mirror.

    Returns:
        New images, (B, C, H, W).
    """
    batch, _, height, width = images.shape
    reach, where = max(1, height // 8), generator.device
    shift = torch.randint(0, 2 * reach + 1, (2, batch, 1), generator=generator, device=where)
    share = 0.5 if mirrors else 0.0
    mirrored = torch.rand(batch, 1, generator=generator, device=where) < share
    rows = shift[0] + torch.arange(height, device=where)
    columns = torch.arange(width, device=where).expand(batch, width)
    columns = shift[1] + torch.where(mirrored, width - 1 - columns, columns)
    padded = F.pad(images, (reach,) * 4)
    index = torch.arange(batch, device=images.device).view(batch, 1, 1)
    rows, columns = rows.to(images.device), columns.to(images.device)
    picked = padded[index, :, rows.unsqueeze(2), columns.unsqueeze(1)]
    return picked.permute(0, 3, 1, 2).contiguous()


def cut_out(images: Tensor, generator: torch.Generator, *, share: float) -> Tensor:
    """Set a square of each image to 0, the mean of a normalised set (DeVries and Taylor, 2017).

    Args:
        images: (B, C, H, W).
        generator: On the CPU, or on the images' device.
        share: The square's side as a fraction of the image's. Its middle is anywhere in the image,
            so part of it may lie outside.

    Returns:
        New images, (B, C, H, W).
    """
    batch, _, *sides = images.shape
    inside = []
    for side in sides:
        length = max(1, round(share * side))
        where = generator.device
        middle = torch.randint(0, side, (batch, 1), generator=generator, device=where)
        first, places = middle - length // 2, torch.arange(side, device=where)
        inside.append((places >= first) & (places < first + length))
    square = inside[0].unsqueeze(2) & inside[1].unsqueeze(1)
    return images.masked_fill(square.unsqueeze(1).to(images.device), 0.0)
