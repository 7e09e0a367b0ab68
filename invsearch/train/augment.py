"""Augmentation of a batch: a shift by whole pixels and a mirror image."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["augment"]


def augment(images: Tensor, generator: torch.Generator, *, mirrors: bool) -> Tensor:
    """Shift each image by up to an eighth of its side, and mirror every other one at random.

    Args:
        images: (B, C, H, W); what a shift uncovers becomes 0, the mean of a normalised set.
        generator: On the CPU, whatever the images' device.
        mirrors: Whether to mirror.

    Returns:
        New images, (B, C, H, W).
    """
    batch, _, height, width = images.shape
    reach = max(1, height // 8)
    shift = torch.randint(0, 2 * reach + 1, (2, batch, 1), generator=generator)
    mirrored = torch.rand(batch, 1, generator=generator) < (0.5 if mirrors else 0.0)
    rows = shift[0] + torch.arange(height)
    columns = torch.arange(width).expand(batch, width)
    columns = shift[1] + torch.where(mirrored, width - 1 - columns, columns)
    padded = F.pad(images, (reach,) * 4)
    index = torch.arange(batch).view(batch, 1, 1).to(images.device)
    rows, columns = rows.to(images.device), columns.to(images.device)
    picked = padded[index, :, rows.unsqueeze(2), columns.unsqueeze(1)]
    return picked.permute(0, 3, 1, 2).contiguous()
