"""Involution in torch's own operators alone, in a form that other runtimes run fast.

The windows of the paper's ``unfold`` are K * K copies of x, which ONNX Runtime gathers one element
at a time. Here x is copied K times, once for each shift along a row. Each copy is multiplied by a
plane of the kernel and added up, whole rows at a time, which both ONNX Runtime and OpenVINO do at
the speed of a copy (OpenVINO makes one loop of a row of offsets; a sum over an axis of stacked
copies takes it four times as long). Along the columns the sums are shifted, not what is summed:
what the channels of a group share is moved instead of each of them.
"""

from __future__ import annotations

import functools
import operator
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
    groups, output = kernel.shape[1], (kernel.shape[4], kernel.shape[5])
    grouped = x.unflatten(1, (groups, -1)).flatten(0, 1)
    columns = _shifted_across(grouped, kernel_size, output[1], stride, padding, dilation)
    planes, rows = kernel.flatten(0, 1), range(kernel_size)
    add_row = _row_of_whole_rows if stride[0] == 1 else _row_of_slices
    parts = [
        add_row(columns, planes[:, row], (kernel_size - 1) * dilation[0], row * dilation[0], stride)
        for row in rows
    ]
    whole: Tensor = _sum(parts).unflatten(0, (-1, groups)).flatten(1, 2)
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
    columns = _shifted_across(x, kernel_size, output[1], stride, padding, dilation)
    across = torch.stack(columns, 2)
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


def _row_of_whole_rows(
    columns: Sequence[Tensor], planes: Tensor, reach: int, first: int, stride: Pair
) -> Tensor:
    """One row of a window's offsets: products of whole padded images, the sum's rows shifted.

    Args:
        columns: x (B * G, C / G, H_out + reach, W_out), shifted along a row by each offset.
        planes: Kernel entries of the row (B * G, K, H_out, W_out).
        reach: Rows that a window spans beyond its first.
        first: The row's place in it.
        stride: Of the window.
    """
    padded = F.pad(planes, (0, 0, first, reach - first))
    total = _sum([x * padded[:, v].unsqueeze(1) for v, x in enumerate(columns)])
    return total[..., _slice(first, planes.shape[2], 1), :]


def _row_of_slices(
    columns: Sequence[Tensor], planes: Tensor, reach: int, first: int, stride: Pair
) -> Tensor:
    """The same for any stride: what is multiplied is sliced."""
    down = _slice(first, planes.shape[2], stride[0])
    return _sum([x[..., down, :] * planes[:, v].unsqueeze(1) for v, x in enumerate(columns)])


def _sum(parts: Sequence[Tensor]) -> Tensor:
    return functools.reduce(operator.add, parts)


def _shifted_across(
    x: Tensor, kernel_size: int, width: int, stride: Pair, padding: Pair, dilation: Pair
) -> list[Tensor]:
    """x shifted along a row by each of K offsets: (B, C, H + 2 padding, W_out)."""
    padded = F.pad(x, (padding[1], padding[1], padding[0], padding[0]))
    shifts = (_slice(column * dilation[1], width, stride[1]) for column in range(kernel_size))
    return [padded[..., shift] for shift in shifts]


def _slice(start: int, length: int, stride: int) -> slice:
    return slice(start, start + stride * (length - 1) + 1, stride)
