"""The registry's entry for involution: settings and cost in closed form."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ops.hyperparameter import Hyperparameter, odd_size, positive_int
from ops.involution.backends import TABLE
from ops.involution.generators import GENERATORS
from ops.involution.module import Involution2d
from ops.registry import Handle, Shape, output_pixels, register

__all__ = ["TRACE_HANDLES", "involution"]

HYPERPARAMETERS = {
    "kernel_size": Hyperparameter(7, check=odd_size, description="window size K"),
    "group_channels": Hyperparameter(
        16,
        check=positive_int,
        description="channels C / G that share a kernel; divides C",
        divides_channels=True,
    ),
    "reduction": Hyperparameter(
        4,
        check=positive_int,
        description="r: the generator's bottleneck has C // r channels",
        keeps_channels=4,  # what a proxy of a quarter of the paper's 64 channels keeps
        needs={"generator": ("bottleneck",)},
    ),
    "generator": Hyperparameter(
        "bottleneck", allowed=tuple(GENERATORS), description="what makes the kernel"
    ),
    "dilation": Hyperparameter(1, check=positive_int, description="step between window positions"),
}


def _aggregate_macs(inputs: Sequence[Shape | None], outputs: Sequence[Shape]) -> int:
    kernel = inputs[1]
    assert kernel is not None
    return kernel[2] * kernel[3] * math.prod(outputs[0])


def _grad_input_macs(inputs: Sequence[Shape | None], outputs: Sequence[Shape]) -> int:
    output, kernel = inputs[0], inputs[1]
    assert output is not None
    assert kernel is not None
    return kernel[2] * kernel[3] * math.prod(output)


def _grad_kernel_macs(inputs: Sequence[Shape | None], outputs: Sequence[Shape]) -> int:
    output, kernel = inputs[0], outputs[0]
    assert output is not None
    return kernel[2] * kernel[3] * math.prod(output)


def _fused_macs(inputs: Sequence[Shape | None], outputs: Sequence[Shape]) -> int:
    """Span and aggregation; weight (G, K, K, C // r)."""
    return _span_macs(inputs[2], outputs[0])


def _fused_backward_macs(inputs: Sequence[Shape | None], outputs: Sequence[Shape]) -> int:
    """Twice each: once for either factor."""
    output = inputs[0]
    assert output is not None
    return 2 * _span_macs(inputs[3], output)


def _bottleneck_macs(inputs: Sequence[Shape | None], outputs: Sequence[Shape]) -> int:
    """Reduction with its batch norm folded in, span and aggregation."""
    reduce = inputs[1]
    assert reduce is not None
    pixels = outputs[0][0] * math.prod(outputs[0][2:])
    return pixels * math.prod(reduce) + _span_macs(inputs[6], outputs[0])


def _span_macs(weight: Shape | None, output: Shape) -> int:
    assert weight is not None
    pixels = output[0] * math.prod(output[2:])
    return pixels * math.prod(weight) + weight[1] * weight[2] * math.prod(output)


TRACE_HANDLES: Mapping[str, Handle] = {
    "involution::aggregate": _aggregate_macs,
    "involution::grad_input": _grad_input_macs,
    "involution::grad_kernel": _grad_kernel_macs,
    "involution::fused": _fused_macs,
    "involution::fused_backward": _fused_backward_macs,
    "involution::bottleneck": _bottleneck_macs,
}
"""K * K * C * H_out * W_out multiply-adds an image for each of the family; the fused ones add the
1x1 convolutions they contain."""


def involution_macs(
    shape: Shape,
    *,
    stride: int,
    kernel_size: int,
    group_channels: int,
    reduction: int,
    generator: str,
    dilation: int,
) -> int:
    """Multiply-adds as fvcore counts: 1x1 convs, 2 per element of the batch norm, aggregation."""
    channels, pixels = shape[1], output_pixels(shape, stride)
    window = kernel_size**2
    span = window * (channels // group_channels)
    if generator == "attention":
        return attention_kernel_macs(shape, stride=stride, kernel_size=kernel_size) + (
            pixels * window * channels
        )
    hidden = channels // reduction
    per_pixel = channels * span if generator == "linear" else hidden * (channels + 2 + span)
    return pixels * (per_pixel + window * channels)


def involution_paper_macs(shape: Shape, *, stride: int, **settings: Any) -> int:
    """The same by the paper's counter: also 1 per bias, per ReLU output and per pooled input."""
    channels, pixels = shape[1], output_pixels(shape, stride)
    total = involution_macs(shape, stride=stride, **settings)
    total += math.prod(shape) if stride > 1 else 0
    if settings["generator"] == "attention":
        return total
    bias: int = settings["kernel_size"] ** 2 * (channels // settings["group_channels"])
    relu: int = channels // settings["reduction"] if settings["generator"] == "bottleneck" else 0
    return total + pixels * (bias + relu)


def attention_kernel_macs(shape: Shape, *, stride: int, kernel_size: int) -> int:
    """Of the attention generator: query and key projections, query-key products."""
    batch, channels, height, width = shape
    pixels = output_pixels(shape, stride)
    projections = channels**2 * (pixels + batch * height * width)
    return projections + pixels * kernel_size**2 * channels


def involution_params(
    channels: int,
    *,
    kernel_size: int,
    group_channels: int,
    reduction: int,
    generator: str,
    dilation: int,
) -> int:
    """(C^2 + K^2 G C) / r + 2 C / r + K^2 G for the paper's generator."""
    span = kernel_size**2 * (channels // group_channels)
    if generator == "attention":
        return 2 * channels**2 + span
    if generator == "linear":
        return channels * span + span
    hidden = channels // reduction
    return hidden * (channels + 2 + span) + span


@register(
    "involution",
    hyperparameters=HYPERPARAMETERS,
    macs=involution_macs,
    paper_macs=involution_paper_macs,
    params=involution_params,
    trace_handles=TRACE_HANDLES,
    backends=tuple(row.name for row in TABLE),
)
def involution(channels: int, *, stride: int, **hyperparameters: Any) -> Involution2d:
    """`Involution2d` without a fixed back end."""
    return Involution2d(channels, stride=stride, **hyperparameters)
