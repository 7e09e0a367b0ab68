"""Involution problems of every shape and layout, for property tests."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from hypothesis import assume
from hypothesis import strategies as st
from torch import Tensor

Pair = tuple[int, int]


@dataclass(frozen=True)
class Problem:
    """Sizes, steps and layouts of one call."""

    batch: int
    groups: int
    group_channels: int
    kernel_size: int
    size: Pair
    stride: Pair
    padding: Pair
    dilation: Pair
    image_layout: str
    kernel_layout: str
    seed: int

    @property
    def window(self) -> tuple[Pair, Pair, Pair]:
        """Stride, padding, dilation."""
        return self.stride, self.padding, self.dilation

    @property
    def output_size(self) -> Pair:
        rows, columns = (
            (n + 2 * p - d * (self.kernel_size - 1) - 1) // s + 1
            for n, s, p, d in zip(self.size, *self.window, strict=True)
        )
        return rows, columns

    def tensors(self, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
        """x, kernel, and a gradient of the output."""
        generator = torch.Generator().manual_seed(self.seed)
        channels, size = self.groups * self.group_channels, self.kernel_size
        shapes = (
            (self.batch, channels, *self.size),
            (self.batch, self.groups, size, size, *self.output_size),
            (self.batch, channels, *self.output_size),
        )
        x, kernel, grad = (
            torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)
            for shape in shapes
        )
        return (
            laid_out(x, self.image_layout),
            laid_out(kernel, self.kernel_layout),
            laid_out(grad, self.image_layout),
        )


def laid_out(tensor: Tensor, layout: str) -> Tensor:
    """The same numbers with other strides."""
    if layout == "channels_last":
        return tensor.to(memory_format=torch.channels_last)
    if layout == "native":
        order = (0, 4, 5, 1, 2, 3)
        return tensor.permute(order).contiguous().permute(0, 3, 4, 5, 1, 2)
    if layout == "sliced":
        return tensor.repeat_interleave(2, dim=-1)[..., ::2]
    if layout == "transposed":
        return tensor.transpose(-1, -2).contiguous().transpose(-1, -2)
    assert layout == "contiguous"
    return tensor


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    """Any problem with at least one output pixel, small enough for the oracle."""

    def pairs(least: int, most: int) -> Pair:
        return draw(st.tuples(st.integers(least, most), st.integers(least, most)))

    problem = Problem(
        batch=draw(st.integers(0, 2)),
        groups=draw(st.integers(1, 3)),
        group_channels=draw(st.sampled_from([1, 2, 3, 16])),
        kernel_size=draw(st.integers(1, 5)),
        size=pairs(1, 8),
        stride=pairs(1, 3),
        padding=pairs(0, 3),
        dilation=pairs(1, 3),
        image_layout=draw(st.sampled_from(["contiguous", "channels_last", "sliced", "transposed"])),
        kernel_layout=draw(st.sampled_from(["contiguous", "native", "sliced", "transposed"])),
        seed=draw(st.integers(0, 2**16)),
    )
    assume(min(problem.output_size) >= 1)
    return problem
