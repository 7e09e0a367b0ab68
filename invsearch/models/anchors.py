"""Anchors, and boxes as offsets from them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["anchors", "decode"]

_LARGEST_LOG_SCALE = math.log(1000 / 16)  # mmdetection's clamp, so that exp stays finite


def anchors(
    height: int,
    width: int,
    stride: int,
    *,
    sizes: Sequence[float],
    ratios: Sequence[float] = (0.5, 1.0, 2.0),
    device: torch.device | None = None,
) -> Tensor:
    """Anchors of one level.

    Args:
        height: Height of the feature map.
        width: Width of the feature map.
        stride: Pixels of the image to one of the map.
        sizes: Square roots of the anchors' areas, in pixels of the image.
        ratios: Height to width.
        device: Where to make them.

    Returns:
        (height * width * len(ratios) * len(sizes), 4): x1, y1, x2, y2, in image pixels; by row,
        column, ratio, size, centred on the top left corner of each cell.
    """
    ratio = torch.tensor(tuple(ratios), device=device).sqrt()[:, None]
    size = torch.tensor(tuple(sizes), device=device)[None, :]
    half_w, half_h = (size / ratio / 2).flatten(), (size * ratio / 2).flatten()
    shape = torch.stack([-half_w, -half_h, half_w, half_h], dim=1)
    y = torch.arange(height, device=device)[:, None].expand(height, width) * stride
    x = torch.arange(width, device=device)[None, :].expand(height, width) * stride
    corner = torch.stack([x, y, x, y], dim=2)
    return (corner[:, :, None, :] + shape).reshape(-1, 4)


def decode(boxes: Tensor, deltas: Tensor, height: int, width: int, scale: float = 1.0) -> Tensor:
    """Move boxes by predicted offsets and clip them to the image.

    Args:
        boxes: (..., 4): x1, y1, x2, y2.
        deltas: (..., 4): shift of the centre in box sizes, log of the scale (R-CNN's).
        height: Of the image.
        width: Of the image.
        scale: Standard deviation of the centre's offsets; that of the logarithms is twice it
            (the box head's .1, .2); 1 leaves both as they are.

    Returns:
        Boxes (..., 4).
    """
    sizes = boxes[..., 2:] - boxes[..., :2]
    centres = boxes[..., :2] + sizes / 2 + deltas[..., :2] * scale * sizes
    logs = deltas[..., 2:] * (1.0 if scale == 1.0 else 2 * scale)
    halves = sizes * logs.clamp(-_LARGEST_LOG_SCALE, _LARGEST_LOG_SCALE).exp() / 2
    x1, y1 = (centres - halves).unbind(-1)
    x2, y2 = (centres + halves).unbind(-1)
    return torch.stack(
        [x1.clamp(0, width), y1.clamp(0, height), x2.clamp(0, width), y2.clamp(0, height)], dim=-1
    )
