"""Involution in torch's own operators alone, in a form that other runtimes run fast.

The windows of the paper's ``unfold`` are K * K copies of x, which ONNX Runtime gathers one element
at a time. Here the K shifts along a row are stacked once, and a row of offsets is multiplied and
summed at a time: K copies, of contiguous slices.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["aggregate", "definitions", "grad_kernel", "windows"]

Pair = Sequence[int]


def aggregate(
    x: Tensor,
    kernel: Tensor,
    kernel_size: int,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
) -> Tensor:
    """Weigh and sum the window around each pixel.

    Args:
        x: (B, C, H, W).
        kernel: (B, G, K, K, H_out, W_out).
        kernel_size: K.
        stride: Of the window, along height and width, as ``padding`` and ``dilation``.
        padding: Zeros on both sides.
        dilation: Pixels between two of a window.

    Returns:
        (B, C, H_out, W_out).
    """
    groups, height = kernel.shape[1], kernel.shape[4]
    grouped = x.unflatten(1, (groups, -1)).flatten(0, 1)
    across = _shifted_across(grouped, kernel_size, kernel.shape[5], stride, padding, dilation)
    kernel = kernel.flatten(0, 1)
    y: Tensor | None = None
    for row in range(kernel_size):
        down = _slice(row * dilation[0], height, stride[0])
        part = (across[..., down, :] * kernel[:, row].unsqueeze(1)).sum(2)
        y = part if y is None else y + part
    assert y is not None
    whole: Tensor = y.unflatten(0, (-1, groups)).flatten(1, 2)
    return whole


def windows(
    x: Tensor,
    kernel_size: int,
    output: tuple[int, int],
    stride: Pair,
    padding: Pair,
    dilation: Pair,
) -> Tensor:
    """(B, C, H, W) -> (B, C, K, K, H_out, W_out), offsets by row and column."""
    across = _shifted_across(x, kernel_size, output[1], stride, padding, dilation)
    rows = [
        across[..., _slice(row * dilation[0], output[0], stride[0]), :]
        for row in range(kernel_size)
    ]
    return torch.stack(rows, 2)


def grad_kernel(
    grad_output: Tensor,
    x: Tensor,
    kernel_size: int,
    groups: int,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
) -> Tensor:
    """(B, G, K, K, H_out, W_out), query-key products in self-attention."""
    output = (grad_output.shape[2], grad_output.shape[3])
    keys = windows(x, kernel_size, output, stride, padding, dilation).unflatten(1, (groups, -1))
    queries = grad_output.unflatten(1, (groups, -1)).unsqueeze(3).unsqueeze(3)
    products: Tensor = (keys * queries).sum(2)
    return products


def definitions() -> Mapping[Any, Callable[..., Tensor]]:
    """Operators of `ops` by what they are in torch's own, for ``run_decompositions``."""

    def aggregated(
        x: Tensor, kernel: Tensor, stride: Pair, padding: Pair, dilation: Pair, backend: Any = None
    ) -> Tensor:
        return aggregate(x, kernel, kernel.shape[2], stride, padding, dilation)

    def grad_kernel_of(*arguments: Any, backend: Any = None) -> Tensor:
        return grad_kernel(*arguments[:7])

    family = torch.ops.involution
    return {family.aggregate.default: aggregated, family.grad_kernel.default: grad_kernel_of}


def _shifted_across(
    x: Tensor, kernel_size: int, width: int, stride: Pair, padding: Pair, dilation: Pair
) -> Tensor:
    """(B, C, H, W) -> (B, C, K, H + 2 padding, W_out), all shifts along a row."""
    padded = F.pad(x, (padding[1], padding[1], padding[0], padding[0]))
    shifts = (_slice(column * dilation[1], width, stride[1]) for column in range(kernel_size))
    return torch.stack([padded[..., shift] for shift in shifts], 2)


def _slice(start: int, length: int, stride: int) -> slice:
    return slice(start, start + stride * (length - 1) + 1, stride)
