"""Shift and accumulate: one pass over the output for each window position, in plain torch.

Runs on any device and floating-point type. No window is copied: a position of the window is a
strided view of the padded input. fp16 and bf16 accumulate in fp32.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from ops.involution import layout
from ops.involution.backends.base import Backend
from ops.involution.geometry import Geometry

__all__ = ["BACKEND"]

CACHE_BYTES = 1 << 20
"""On a CPU, the images of one pass are so many that an activation of theirs takes about this."""


def aggregate(x: Tensor, kernel: Tensor, geometry: Geometry) -> Tensor:
    """y: for each window position, the shifted input times that position's kernel entries."""
    dtype = _accumulator(x)
    y = layout.empty_image(geometry.output_shape, x, dtype).zero_()
    for images in _slabs(x, geometry):
        total, source = _grouped(y[images], geometry), _padded(x[images].to(dtype), geometry)
        entries = _entries(kernel[images])
        for pixels, weights in zip(_windows(source, geometry), entries, strict=True):
            total.addcmul_(pixels, weights.unsqueeze(2).to(dtype))
    return y.to(x.dtype)


def grad_input(grad_output: Tensor, kernel: Tensor, geometry: Geometry) -> Tensor:
    """Gradient of x: each window position adds its share to a shifted view of the padded result."""
    dtype = _accumulator(grad_output)
    (top, left), (height, width) = geometry.padding, geometry.input_size
    result = layout.empty_image(geometry.input_shape, grad_output)
    for images in _slabs(grad_output, geometry):
        target, gradient = result[images], _grouped(grad_output[images].to(dtype), geometry)
        shape = (*target.shape[:2], height + 2 * top, width + 2 * left)
        padded = layout.empty_image(shape, grad_output, dtype).zero_()
        entries = _entries(kernel[images])
        for total, weights in zip(_windows(padded, geometry), entries, strict=True):
            total.addcmul_(gradient, weights.unsqueeze(2).to(dtype))
        target.copy_(padded[:, :, top : top + height, left : left + width])
    return result


def grad_kernel(grad_output: Tensor, x: Tensor, geometry: Geometry) -> Tensor:
    """Gradient of the kernel: output gradient times shifted input, summed over the group."""
    dtype = _accumulator(x)
    result = layout.empty_kernel(geometry, grad_output)
    for images in _slabs(x, geometry):
        gradient = _grouped(grad_output[images].to(dtype), geometry)
        source, entries = _padded(x[images].to(dtype), geometry), _entries(result[images])
        for pixels, weights in zip(_windows(source, geometry), entries, strict=True):
            weights.copy_((gradient * pixels).sum(2))
    return result


def _accumulator(tensor: Tensor) -> torch.dtype:
    return torch.float32 if tensor.dtype.itemsize < 4 else tensor.dtype


def _slabs(image: Tensor, geometry: Geometry) -> Iterator[slice]:
    """The images of each pass: all at once, but on a CPU no more than fit into its cache."""
    step = max(1, geometry.batch)
    if image.device.type == "cpu":
        step = max(1, CACHE_BYTES // (4 * max(1, image[:1].numel())))
    for start in range(0, geometry.batch, step):
        yield slice(start, start + step)


def _padded(x: Tensor, geometry: Geometry) -> Tensor:
    top, left = geometry.padding
    return F.pad(x, (left, left, top, top))


def _grouped(image: Tensor, geometry: Geometry) -> Tensor:
    """(B, C, H, W) -> (B, G, C / G, H, W), a view."""
    batch, channels, height, width = image.shape
    groups = geometry.groups
    return image.view(batch, groups, channels // groups, height, width)


def _windows(padded: Tensor, geometry: Geometry) -> list[Tensor]:
    """For each window position the pixels it covers, (B, G, C / G, H_out, W_out): views."""
    (step_y, step_x), (spread_y, spread_x) = geometry.stride, geometry.dilation
    span = geometry.kernel_size - 1
    rows = _grouped(padded, geometry).unfold(3, spread_y * span + 1, step_y)
    windows = rows.unfold(4, spread_x * span + 1, step_x)[..., ::spread_y, ::spread_x]
    return [pixels for row in windows.unbind(5) for pixels in row.unbind(5)]


def _entries(kernel: Tensor) -> list[Tensor]:
    """For each window position its weights, (B, G, H_out, W_out): views."""
    return [weights for row in kernel.unbind(2) for weights in row.unbind(2)]


BACKEND = Backend("torch", aggregate, grad_input, grad_kernel)
