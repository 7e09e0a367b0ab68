"""Convolution and depthwise convolution: the operators involution is compared with."""

from __future__ import annotations

from torch import nn

from ops.hyperparameter import Hyperparameter, odd_size, positive_int
from ops.registry import Shape, output_pixels, register

__all__ = ["convolution", "depthwise_convolution"]


def _window(kernel_size: int) -> dict[str, Hyperparameter]:
    return {
        "kernel_size": Hyperparameter(kernel_size, check=odd_size, description="window size K"),
        "dilation": Hyperparameter(
            1, check=positive_int, description="step between window positions"
        ),
    }


def _macs(shape: Shape, *, stride: int, kernel_size: int, dilation: int) -> int:
    return output_pixels(shape, stride) * _params(shape[1], kernel_size=kernel_size)


def _params(channels: int, *, kernel_size: int, dilation: int = 1) -> int:
    return channels * channels * kernel_size**2


def _depthwise_macs(shape: Shape, *, stride: int, kernel_size: int, dilation: int) -> int:
    return output_pixels(shape, stride) * _depthwise_params(shape[1], kernel_size=kernel_size)


def _depthwise_params(channels: int, *, kernel_size: int, dilation: int = 1) -> int:
    return channels * kernel_size**2


@register("convolution", hyperparameters=_window(3), macs=_macs, params=_params)
def convolution(channels: int, *, stride: int, kernel_size: int, dilation: int) -> nn.Conv2d:
    """K x K convolution, no bias: (B, C, H, W) -> (B, C, ceil(H / stride), ceil(W / stride))."""
    return nn.Conv2d(
        channels,
        channels,
        kernel_size,
        stride=stride,
        padding=(kernel_size - 1) // 2 * dilation,
        dilation=dilation,
        bias=False,
    )


@register(
    "depthwise_convolution",
    hyperparameters=_window(7),
    macs=_depthwise_macs,
    params=_depthwise_params,
)
def depthwise_convolution(
    channels: int, *, stride: int, kernel_size: int, dilation: int
) -> nn.Conv2d:
    """K x K convolution of each channel by itself, without bias; shapes as `convolution`."""
    return nn.Conv2d(
        channels,
        channels,
        kernel_size,
        stride=stride,
        padding=(kernel_size - 1) // 2 * dilation,
        dilation=dilation,
        groups=channels,
        bias=False,
    )
