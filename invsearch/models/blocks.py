"""The parts of a bottleneck network: layers, stems, the residual block."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

import ops
from invsearch.errors import InputError
from invsearch.models.network import BlockSpec, StemSpec
from invsearch.models.resolve import problem
from ops.normalise import normalise
from ops.pointwise import Pointwise

__all__ = [
    "EXPANSION",
    "Bottleneck",
    "initialise",
    "largest_divisor",
    "stem",
    "stem_involution",
]

EXPANSION = 4
"""Output channels of a bottleneck per channel inside it."""


class Bottleneck(nn.Module):
    """A residual bottleneck around any registered operator.

    ``relu(bn(1x1) -> relu(bn(operator)) -> bn(1x1) + shortcut)``; the operator carries the stride,
    the shortcut is a 1x1 convolution with the stride and a batch norm wherever the shape changes.

    Args:
        in_channels: Channels of the input.
        width: Channels inside.
        stride: Stride of the operator.
        block: Which operator, with its hyperparameters.

    Raises:
        InputError: If the operator cannot have this width.
    """

    def __init__(self, in_channels: int, width: int, stride: int, block: BlockSpec) -> None:
        super().__init__()
        reason = problem(width, block)
        if reason is not None:
            raise InputError(reason)
        out_channels = EXPANSION * width
        self.conv1 = Pointwise(in_channels, width)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu1 = nn.ReLU(inplace=True)
        operator = ops.get(block.operator)
        self.operator = operator.make(width, stride=stride, **dict(block.hyperparameters))
        self.bn2 = nn.BatchNorm2d(width)
        self.relu2 = nn.ReLU(inplace=True)
        self.conv3 = Pointwise(width, out_channels)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.relu3 = nn.ReLU(inplace=True)
        self.downsample = (
            nn.Sequential(
                Pointwise(in_channels, out_channels, stride),
                nn.BatchNorm2d(out_channels),
            )
            if stride != 1 or in_channels != out_channels
            else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, H, W) -> (B, 4 * width, ceil(H / stride), ceil(W / stride))."""
        y = normalise(self.conv1(x), self.bn1, self.relu1, in_place=True)
        y = normalise(self.operator(y), self.bn2, self.relu2)
        return normalise(self.conv3(y), self.bn3, self.relu3, self.downsample(x), in_place=True)


def stem(spec: StemSpec, in_channels: int) -> nn.Sequential:
    """Build the layers before the first stage: (B, in_channels, H, W) -> (B, channels, h, w)."""
    half, channels = spec.channels // 2, spec.channels
    if spec.kind == "resnet":
        layers = _conv(in_channels, channels, 7, spec.stride)
    elif spec.kind == "deep":
        layers = [
            *_conv(in_channels, half, 3, spec.stride),
            *_conv(half, half, 3, 1),
            *_conv(half, channels, 3, 1),
        ]
    else:
        layers = [
            *_conv(in_channels, half, 3, spec.stride),
            ops.get("involution").make(half, **stem_involution(spec)),
            nn.BatchNorm2d(half),
            nn.ReLU(inplace=True),
            *_conv(half, channels, 3, 1),
        ]
    if spec.pool:
        layers.append(nn.MaxPool2d(3, stride=2, padding=1))
    return nn.Sequential(*layers)


def stem_involution(spec: StemSpec) -> Mapping[str, Any]:
    """Hyperparameters of a RedNet stem's involution: the paper's, as far as its width allows.

    Group channels are the largest divisor of the width up to 16; the reduction is 4 where that
    leaves at least 4 channels.
    """
    half = spec.channels // 2
    return {
        "kernel_size": spec.kernel_size,
        "group_channels": largest_divisor(half, 16),
        "reduction": max(1, min(4, half // 4)),
    }


def largest_divisor(number: int, limit: int) -> int:
    """The largest divisor of ``number`` that is not above ``limit``."""
    return next(d for d in range(min(number, limit), 0, -1) if number % d == 0)


def initialise(network: nn.Module) -> None:
    """Kaiming-normal convolutions (fan out), as in the paper; zero-gamma ends each block.

    An operator that is neither a convolution nor of involution's family keeps its own weights.
    """
    blocks = [module for module in network.modules() if isinstance(module, Bottleneck)]
    foreign = {m for b in blocks if _is_foreign(b.operator) for m in b.operator.modules()}
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module not in foreign:
            _kaiming(module)
        elif isinstance(module, nn.Linear) and module not in foreign:
            nn.init.normal_(module.weight, std=0.01)
            nn.init.zeros_(module.bias)
    for block in blocks:
        nn.init.zeros_(block.bn3.weight)


def _is_foreign(operator: nn.Module) -> bool:
    return not isinstance(operator, nn.Conv2d | ops.Involution2d)


def _kaiming(conv: nn.Conv2d) -> None:
    fan_out = conv.out_channels * math.prod(conv.kernel_size) / conv.groups
    nn.init.normal_(conv.weight, std=math.sqrt(2 / fan_out))
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)


def _conv(in_channels: int, out_channels: int, kernel_size: int, stride: int) -> list[nn.Module]:
    padding = kernel_size // 2
    return [
        nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    ]
