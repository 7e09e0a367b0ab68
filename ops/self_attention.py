"""Local self-attention: the involution whose kernel is made from query-key pairs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from ops.hyperparameter import Hyperparameter, odd_size, positive_int
from ops.involution.backends import TABLE
from ops.involution.module import Involution2d
from ops.involution.spec import TRACE_HANDLES, attention_kernel_macs
from ops.pointwise import Pointwise
from ops.registry import Shape, output_pixels, register

__all__ = ["SelfAttention2d", "self_attention"]


class SelfAttention2d(Involution2d):
    """Self-attention within a K x K window (Ramachandran et al., NeurIPS 2019).

    A member of the family: an involution over the value projection of x, whose kernel
    `AttentionGenerator` makes from x; heads are groups, and a position is a learnt bias per head.
    (B, C, H, W) -> (B, C, ceil(H / stride), ceil(W / stride)).

    Args:
        channels: C, in and out.
        kernel_size: K, odd.
        stride: Of the window; queries come from the input pooled by it.
        head_channels: C / heads; must divide C.
        dilation: Step between window positions.
        backend: A name of `ops.backends()`, or None for the first that can run.

    Raises:
        ValueError: For values out of range or that do not fit each other.
    """

    def __init__(
        self,
        channels: int,
        kernel_size: int = 7,
        stride: int = 1,
        head_channels: int = 16,
        dilation: int = 1,
        backend: str | None = None,
    ) -> None:
        reason = positive_int(channels) and f"channels = {channels!r} {positive_int(channels)}"
        reason = reason or _problem(channels, {"head_channels": head_channels})
        if reason is not None:
            raise ValueError(f"SelfAttention2d: {reason}")
        super().__init__(
            channels,
            kernel_size,
            stride,
            head_channels,
            dilation=dilation,
            generator="attention",
            backend=backend,
        )
        self.value = Pointwise(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.aggregate(self.value(x), self.generator(x))


def _problem(channels: int, settings: Mapping[str, Any]) -> str | None:
    head_channels = settings["head_channels"]
    reason = positive_int(head_channels)
    if reason is not None:
        return f"head_channels = {head_channels!r} {reason}"
    if channels % head_channels:
        return f"head_channels = {head_channels} does not divide channels = {channels}"
    return None


def _macs(shape: Shape, *, stride: int, kernel_size: int, head_channels: int, dilation: int) -> int:
    batch, channels, height, width = shape
    value = batch * height * width * channels**2
    aggregation = output_pixels(shape, stride) * kernel_size**2 * channels
    return (
        attention_kernel_macs(shape, stride=stride, kernel_size=kernel_size) + value + aggregation
    )


def _paper_macs(shape: Shape, *, stride: int, **settings: Any) -> int:
    pooling = math.prod(shape) if stride > 1 else 0
    return _macs(shape, stride=stride, **settings) + pooling


def _params(channels: int, *, kernel_size: int, head_channels: int, dilation: int) -> int:
    return 3 * channels**2 + kernel_size**2 * (channels // head_channels)


@register(
    "self_attention",
    hyperparameters={
        "kernel_size": Hyperparameter(7, check=odd_size, description="window size K"),
        "head_channels": Hyperparameter(
            16,
            check=positive_int,
            description="channels of a head; divides C",
            divides_channels=True,
        ),
        "dilation": Hyperparameter(
            1, check=positive_int, description="step between window positions"
        ),
    },
    macs=_macs,
    paper_macs=_paper_macs,
    params=_params,
    trace_handles=TRACE_HANDLES,
    backends=tuple(row.name for row in TABLE),
)
def self_attention(channels: int, *, stride: int, **hyperparameters: Any) -> SelfAttention2d:
    """`SelfAttention2d` without a fixed back end."""
    return SelfAttention2d(channels, stride=stride, **hyperparameters)
