"""RoIAlign (He et al., ICCV 2017) over a feature pyramid, in plain torch."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from invsearch.models.torchvision_ops import has_torchvision_ops

__all__ = ["pyramid_levels", "roi_align"]

_FINEST_BOX = 56.0  # boxes below 112 pixels go to level 2 (FPN, equation 1: 224 is level 4)


def roi_align(
    levels: Sequence[Tensor],
    boxes: Tensor,
    output_size: int,
    strides: Sequence[int],
    *,
    samples: int = 2,
    backend: Literal["torch", "torchvision"] | None = None,
) -> Tensor:
    """Crop boxes out of a feature pyramid, each from the level that its size asks for.

    Every output pixel is the mean of ``samples`` x ``samples`` bilinear samples, at half-pixel
    positions (``aligned=True``); samples outside of the map by more than a pixel are 0.

    Args:
        levels: Feature maps (B, C, h, w), finest first.
        boxes: (B, N, 4): x1, y1, x2, y2, in image pixels; N for each image.
        output_size: Side of a crop.
        strides: Pixels of the image to one of each level.
        samples: Samples a side in each output pixel.
        backend: ``torch`` (static shapes; also on the meta device), ``torchvision``, or None for
            torchvision's kernel where it is installed and tensors are real.

    Returns:
        (B * N, C, output_size, output_size).
    """
    if backend is None:
        backend = "torchvision" if _has_torchvision(boxes) else "torch"
    level = pyramid_levels(boxes, len(levels))
    if backend == "torchvision":
        return _by_torchvision(levels, boxes, level, output_size, strides, samples)
    table = [[*x.shape[2:], 1 / s] for x, s in zip(levels, strides, strict=True)]
    offsets = [0]
    for x in levels[:-1]:
        offsets.append(offsets[-1] + x.shape[2] * x.shape[3])
    pixels = torch.cat([x.flatten(2) for x in levels], dim=2).transpose(1, 2)
    box_table = torch.tensor(table, device=boxes.device, dtype=boxes.dtype)[level]
    offset = torch.tensor(offsets, device=boxes.device)[level]
    return _Sampler(pixels, boxes, box_table, offset, output_size, samples).crops()


def pyramid_levels(boxes: Tensor, number: int) -> Tensor:
    """Index of each box's level: 0 below a side of 112 pixels, one more for each doubling."""
    sizes = boxes[..., 2:] - boxes[..., :2]
    side = sizes.prod(-1).clamp(min=0).sqrt()
    return (side / _FINEST_BOX + 1e-6).log2().floor().clamp(0, number - 1).long()


class _Sampler:
    """Bilinear samples of boxes (B, N) from the pixels of all levels (B, P, C).

    One sample of each output pixel is taken at a time: memory grows with the crops, not with
    the samples, and every shape is known beforehand.
    """

    def __init__(
        self, pixels: Tensor, boxes: Tensor, table: Tensor, offset: Tensor, size: int, samples: int
    ) -> None:
        self.pixels, self.offset, self.size, self.samples = pixels, offset, size, samples
        self.height, self.width, scale = table.unbind(-1)
        self.start = boxes[..., :2] * scale[..., None] - 0.5
        self.bin = (boxes[..., 2:] - boxes[..., :2]) * scale[..., None] / size

    def crops(self) -> Tensor:
        batch, number = self.offset.shape
        steps = [(i + 0.5) / self.samples for i in range(self.samples)]
        cells = torch.arange(self.size, device=self.bin.device)
        total = self.pixels.new_zeros(())
        for dy in steps:
            rows = self._axis(1, cells + dy, self.height)
            for dx in steps:
                columns = self._axis(0, cells + dx, self.width)
                total = total + self._sample(rows, columns)
        crops = total / self.samples**2
        return crops.view(batch * number, self.size, self.size, -1).permute(0, 3, 1, 2)

    def _axis(self, axis: int, steps: Tensor, length: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Two (index, weight) pairs of shape (B, N, size): the neighbours along an axis."""
        position = self.start[..., axis, None] + steps * self.bin[..., axis, None]
        last = length[..., None] - 1
        inside = (position >= -1) & (position <= last + 1)
        position = torch.minimum(position.clamp(min=0), last)
        low = position.floor()
        high = torch.minimum(low + 1, last)
        fraction = position - low
        return [(low.long(), (1 - fraction) * inside), (high.long(), fraction * inside)]

    def _sample(
        self, rows: list[tuple[Tensor, Tensor]], columns: list[tuple[Tensor, Tensor]]
    ) -> Tensor:
        batch, _, channels = self.pixels.shape
        total = self.pixels.new_zeros(())
        for y, weight_y in rows:
            for x, weight_x in columns:
                at = y[..., :, None] * self.width.long()[..., None, None] + x[..., None, :]
                index = (at + self.offset[..., None, None]).view(batch, -1, 1)
                weight = (weight_y[..., :, None] * weight_x[..., None, :]).view(batch, -1, 1)
                picked = self.pixels.gather(1, index.expand(-1, -1, channels))
                total = total + picked * weight
        return total


def _has_torchvision(boxes: Tensor) -> bool:
    real = boxes.device.type != "meta" and not torch._C._is_tracing()
    return real and has_torchvision_ops()


def _by_torchvision(
    levels: Sequence[Tensor],
    boxes: Tensor,
    level: Tensor,
    size: int,
    strides: Sequence[int],
    samples: int,
) -> Tensor:
    kernel = importlib.import_module("torchvision.ops").roi_align
    batch, number, _ = boxes.shape
    image = torch.arange(batch, device=boxes.device, dtype=boxes.dtype)
    rois = torch.cat([image.repeat_interleave(number)[:, None], boxes.flatten(0, 1)], dim=1)
    crops = levels[0].new_zeros(batch * number, levels[0].shape[1], size, size)
    for index, (x, stride) in enumerate(zip(levels, strides, strict=True)):
        mine = (level.flatten() == index).nonzero()[:, 0]
        own = kernel(x, rois[mine], size, 1 / stride, samples, aligned=True)
        crops = crops.index_copy(0, mine, own)
    return crops
