"""The weights that a network begins with."""

from __future__ import annotations

import math

from torch import nn

import ops
from invsearch.models.blocks import ResidualBlock

__all__ = ["initialise", "initialise_linear"]

_HEAD_DEVIATION = 0.01  # of the linear layer's weights, as in the released code


def initialise(network: nn.Module) -> None:
    """Kaiming-normal convolutions (fan out), as in the paper; zero-gamma ends each bottleneck.

    An operator that is neither a convolution nor of involution's family keeps its own weights.
    """
    blocks = [module for module in network.modules() if isinstance(module, ResidualBlock)]
    foreign = {m for b in blocks if _is_foreign(b.operator) for m in b.operator.modules()}
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module not in foreign:
            _kaiming(module)
        elif module not in foreign:
            initialise_linear(module)
    for norm in (block.last_norm() for block in blocks):
        if norm is not None:
            nn.init.zeros_(norm.weight)


def initialise_linear(head: nn.Module) -> None:
    """The released code's weights of a linear head; any other module keeps its own."""
    if isinstance(head, nn.Linear):
        nn.init.normal_(head.weight, std=_HEAD_DEVIATION)
        nn.init.zeros_(head.bias)


def _is_foreign(operator: nn.Module) -> bool:
    return not isinstance(operator, nn.Conv2d | ops.Involution2d)


def _kaiming(conv: nn.Conv2d) -> None:
    fan_out = conv.out_channels * math.prod(conv.kernel_size) / conv.groups
    nn.init.normal_(conv.weight, std=math.sqrt(2 / fan_out))
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
