"""Memory layout of results: channels-last in, channels-last out."""

from __future__ import annotations

import torch
from torch import Tensor

from ops.involution.geometry import Geometry

__all__ = ["empty_image", "empty_kernel", "is_channels_last"]


def is_channels_last(image: Tensor) -> bool:
    """True for (B, C, H, W) whose channels are innermost, where that differs from NCHW."""
    return not image.is_contiguous() and image.is_contiguous(memory_format=torch.channels_last)


def empty_image(shape: tuple[int, ...], like: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """Uninitialised (B, C, H, W) in the memory format of `like`, an image too."""
    memory_format = torch.channels_last if is_channels_last(like) else torch.contiguous_format
    return torch.empty(
        shape, dtype=dtype or like.dtype, device=like.device, memory_format=memory_format
    )


def empty_kernel(geometry: Geometry, like: Tensor) -> Tensor:
    """Uninitialised kernel tensor, in the native layout if the image `like` is channels-last.

    Native is what a channels-last span convolution gives: G * K * K innermost.
    """
    if not is_channels_last(like):
        return like.new_empty(geometry.kernel_shape)
    batch, groups, size, _, height, width = geometry.kernel_shape
    return like.new_empty((batch, height, width, groups, size, size)).permute(0, 3, 4, 5, 1, 2)
