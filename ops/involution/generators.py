"""Kernel generators: what makes an involution's kernel tensor out of its input.

Each maps x (B, C, H, W) to (B, G, K, K, ceil(H / stride), ceil(W / stride)).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import handle_torch_function

from ops.eager import symbolic
from ops.involution import library
from ops.pointwise import Pointwise

__all__ = ["GENERATORS", "AttentionGenerator", "BottleneckGenerator", "LinearGenerator", "inside"]


class BottleneckGenerator(nn.Module):
    """The paper's: pool by the stride, 1x1 conv to C / r, BN, ReLU, 1x1 conv to K * K * G.

    Sizes that the stride does not divide are pooled with partial windows, so that the kernel's size
    is that of the operator's output.
    """

    def __init__(
        self,
        channels: int,
        kernel_size: int,
        stride: int,
        groups: int,
        reduction: int,
        dilation: int,
    ) -> None:
        super().__init__()
        hidden = channels // reduction
        self.kernel_size, self.stride, self.groups = kernel_size, stride, groups
        self.reduce = Pointwise(channels, hidden)
        self.norm = nn.BatchNorm2d(hidden)
        self.span = Pointwise(hidden, kernel_size**2 * groups, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        return _as_kernel(self.span(self.features(x)), self.groups, self.kernel_size)

    def features(self, x: Tensor) -> Tensor:
        """(B, C // r, ceil(H / stride), ceil(W / stride)): what the kernel is a linear map of."""
        return F.relu(self.norm(self.reduce(_pool(x, self.stride))))


class LinearGenerator(nn.Module):
    """One linear map of each (pooled) pixel: 1x1 conv with bias, C to K * K * G."""

    def __init__(
        self,
        channels: int,
        kernel_size: int,
        stride: int,
        groups: int,
        reduction: int,
        dilation: int,
    ) -> None:
        super().__init__()
        self.kernel_size, self.stride, self.groups = kernel_size, stride, groups
        self.span = Pointwise(channels, kernel_size**2 * groups, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        return _as_kernel(self.span(_pool(x, self.stride)), self.groups, self.kernel_size)


class AttentionGenerator(nn.Module):
    """Local self-attention's: softmax over the window of query-key products; groups are heads.

    kernel = softmax(q . k / sqrt(C / G) + position): q from the (pooled) pixel, k from each pixel
    of its window, position one learnt number per head and window position. What lies outside the
    image gets weight 0.
    """

    def __init__(
        self,
        channels: int,
        kernel_size: int,
        stride: int,
        groups: int,
        reduction: int,
        dilation: int,
    ) -> None:
        super().__init__()
        self.kernel_size, self.stride, self.groups = kernel_size, stride, groups
        self.dilation = dilation
        self.scale = (channels // groups) ** -0.5
        self.query = Pointwise(channels, channels)
        self.key = Pointwise(channels, channels)
        self.position = nn.Parameter(torch.zeros(groups, kernel_size, kernel_size))
        nn.init.trunc_normal_(self.position, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        query = self.query(_pool(x, self.stride)) * self.scale
        size, padding = self.kernel_size, self.kernel_size // 2 * self.dilation
        window = [[step, step] for step in (self.stride, padding, self.dilation)]
        logits = library.grad_kernel(query, self.key(x), size, self.groups, *window)
        logits = logits + self.position[:, :, :, None, None].to(logits.dtype)
        outside = ~inside(x, size, self.stride, self.dilation)
        weights = logits.masked_fill(outside, -torch.inf).flatten(2, 3).softmax(2)
        return weights.view(logits.shape)


def inside(x: Tensor, kernel_size: int, stride: int, dilation: int) -> Tensor:
    """(K, K, H_out, W_out), True where a position of a window over x (B, C, H, W) lies on it."""
    if symbolic(x):  # one node of fx's graph
        result: Tensor = handle_torch_function(inside, (x,), x, kernel_size, stride, dilation)
        return result
    rows, columns = (
        _inside_axis(size, kernel_size, stride, dilation, x.device) for size in x.shape[2:]
    )
    return rows[:, None, :, None] & columns[None, :, None, :]


def _inside_axis(
    size: int, kernel_size: int, stride: int, dilation: int, device: torch.device
) -> Tensor:
    offsets = torch.arange(kernel_size, device=device) - kernel_size // 2
    pixels = torch.arange(0, size, stride, device=device)
    index = offsets[:, None] * dilation + pixels[None, :]
    return (index >= 0) & (index < size)


GENERATORS: dict[str, type[BottleneckGenerator | LinearGenerator | AttentionGenerator]] = {
    "bottleneck": BottleneckGenerator,
    "linear": LinearGenerator,
    "attention": AttentionGenerator,
}


def _pool(x: Tensor, stride: int) -> Tensor:
    if stride == 1:
        return x
    return F.avg_pool2d(x, stride, stride, ceil_mode=True, count_include_pad=False)


def _as_kernel(span: Tensor, groups: int, kernel_size: int) -> Tensor:
    """(B, G * K * K, H, W), group-major, then row, then column -> (B, G, K, K, H, W)."""
    batch, _, height, width = span.shape
    return span.view(batch, groups, kernel_size, kernel_size, height, width)
