"""Shift and accumulate: one pass over the output for each window position, in plain torch.

Runs on any device and floating-point type. No window is copied and nothing is padded: a position of
the window is a strided view of the input, cropped to what lies on the image. fp16 and bf16
accumulate in fp32.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ops.involution import layout
from ops.involution.backends.base import Backend
from ops.involution.geometry import Geometry

__all__ = ["BACKEND"]

CACHE_BYTES = 1 << 20
"""On a CPU, the images of one pass are so many that an activation of theirs takes about this."""

Crop = tuple[Any, slice, slice]


class _Position(NamedTuple):
    """One position of the window: which output pixels it touches, and from which input pixels."""

    row: int
    column: int
    output: Crop
    input: Crop


def aggregate(x: Tensor, kernel: Tensor, geometry: Geometry) -> Tensor:
    """y: for each window position, the shifted input times that position's kernel entries."""
    image, dtype = _laid_out(x, geometry, geometry.output_size[1]), _accumulator(x)
    y = layout.empty_image(geometry.output_shape, image, dtype).zero_()
    for images in _slabs(image, geometry):
        weights, total = kernel[images], _grouped(y[images], geometry)
        source = _grouped(image[images].to(dtype), geometry)
        for at in _positions(geometry):
            entries = weights[:, :, None, at.row, at.column][at.output]
            total[at.output].addcmul_(source[at.input], entries.to(dtype))
    return _as_like(y, x)


def grad_input(grad_output: Tensor, kernel: Tensor, geometry: Geometry) -> Tensor:
    """Gradient of x: each window position adds its share to a shifted view of the result."""
    image, dtype = _laid_out(grad_output, geometry, geometry.output_size[1]), _accumulator(kernel)
    result = layout.empty_image(geometry.input_shape, image, dtype).zero_()
    for images in _slabs(image, geometry):
        weights, total = kernel[images], _grouped(result[images], geometry)
        gradient = _grouped(image[images].to(dtype), geometry)
        for at in _positions(geometry):
            entries = weights[:, :, None, at.row, at.column][at.output]
            total[at.input].addcmul_(gradient[at.output], entries.to(dtype))
    return _as_like(result, grad_output)


def grad_kernel(grad_output: Tensor, x: Tensor, geometry: Geometry) -> Tensor:
    """Gradient of the kernel: output gradient times shifted input, summed over the group."""
    length, dtype = 2 * geometry.output_size[1] * geometry.stride[1], _accumulator(x)
    gradients = _laid_out(grad_output, geometry, length)
    pixels = _laid_out(x, geometry, length)
    result = layout.empty_kernel(geometry, grad_output).zero_()
    for images in _slabs(pixels, geometry):
        entries, gradient = result[images], _grouped(gradients[images].to(dtype), geometry)
        source = _grouped(pixels[images].to(dtype), geometry)
        for at in _positions(geometry):
            products = gradient[at.output] * source[at.input]
            entries[:, :, at.row, at.column][at.output].copy_(products.sum(2))
    return result


def _accumulator(tensor: Tensor) -> torch.dtype:
    return torch.float32 if tensor.dtype.itemsize < 4 else tensor.dtype


def _laid_out(image: Tensor, geometry: Geometry, length: int) -> Tensor:
    """`image`, channels-last where a CPU's inner loop over a row, of `length`, is the shorter one.

    Channels-last, it goes over the C / G channels of a group. A stride makes a row a gather.
    """
    group_channels = geometry.channels // geometry.groups
    if image.device.type != "cpu" or length > geometry.stride[1] * group_channels:
        return image
    return image.contiguous(memory_format=torch.channels_last)


def _as_like(result: Tensor, image: Tensor) -> Tensor:
    """`result` in the dtype and memory format of `image`."""
    channels_last = layout.is_channels_last(image)
    form = torch.channels_last if channels_last else torch.contiguous_format
    return result.to(image.dtype).contiguous(memory_format=form)


def _slabs(image: Tensor, geometry: Geometry) -> Iterator[slice]:
    """The images of each pass: all at once, but on a CPU no more than fit into its cache."""
    step = max(1, geometry.batch)
    if image.device.type == "cpu":
        step = max(1, CACHE_BYTES // (4 * max(1, image[:1].numel())))
    for start in range(0, geometry.batch, step):
        yield slice(start, start + step)


def _grouped(image: Tensor, geometry: Geometry) -> Tensor:
    """(B, C, H, W) -> (B, G, C / G, H, W), a view."""
    batch, channels, height, width = image.shape
    return image.view(batch, geometry.groups, channels // geometry.groups, height, width)


def _positions(geometry: Geometry) -> Iterator[_Position]:
    """The window positions that touch the image, in order."""
    columns = [_reach(geometry, 1, v) for v in range(geometry.kernel_size)]
    for u in range(geometry.kernel_size):
        rows = _reach(geometry, 0, u)
        for v, column in enumerate(columns):
            if rows is not None and column is not None:
                output, source = (..., rows[0], column[0]), (..., rows[1], column[1])
                yield _Position(u, v, output, source)


def _reach(geometry: Geometry, axis: int, position: int) -> tuple[slice, slice] | None:
    """Along one axis: the outputs whose window has `position` on the image, and those inputs."""
    step = geometry.stride[axis]
    offset = position * geometry.dilation[axis] - geometry.padding[axis]
    first = max(0, -(offset // step))
    last = min(geometry.output_size[axis] - 1, (geometry.input_size[axis] - 1 - offset) // step)
    if last < first:
        return None
    inputs = slice(first * step + offset, last * step + offset + 1, step)
    return slice(first, last + 1), inputs


BACKEND = Backend("torch", aggregate, grad_input, grad_kernel)
