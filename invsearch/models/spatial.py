"""A registered operator as one layer of a neck or a head."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

import ops
from invsearch.errors import InputError, nearest
from invsearch.models.arguments import shown
from invsearch.models.network import BlockSpec
from invsearch.models.problem import problem

__all__ = ["block_spec", "conv_norm_relu", "spatial", "with_bias"]


def block_spec(operator: str | BlockSpec, **hyperparameters: int | float | str) -> BlockSpec:
    """Name a registered operator with all its hyperparameters.

    Args:
        operator: Its name; a BlockSpec is returned as it is.
        **hyperparameters: Those that differ from the operator's defaults.

    Raises:
        InputError: If the operator or a hyperparameter is unknown.
    """
    if isinstance(operator, BlockSpec):
        return operator
    if not isinstance(operator, str) or operator not in ops.names():
        raise InputError(
            f"operator {shown(operator)} is not registered: choose from {sorted(ops.names())}"
            f"{nearest(operator, ops.names())}"
        )
    try:
        complete = ops.get(operator).complete(hyperparameters)
    except ValueError as error:
        raise InputError(str(error)) from error
    return BlockSpec(operator, tuple(sorted(complete.items())))


def spatial(in_channels: int, out_channels: int, block: BlockSpec) -> nn.Module:
    """Build an operator without bias: (B, in_channels, H, W) -> (B, out_channels, H, W).

    A dense convolution changes the number of channels itself. Any other operator keeps it, so a
    1x1 convolution without bias goes before it where the two differ.

    Raises:
        InputError: If the operator cannot have ``out_channels``.
    """
    reason = problem(out_channels, block)
    if reason is not None:
        raise InputError(reason)
    settings: dict[str, Any] = dict(block.hyperparameters)
    layer = ops.get(block.operator).make(out_channels, **settings)
    if in_channels == out_channels:
        return layer
    if isinstance(layer, nn.Conv2d) and layer.groups == 1:
        kernel_size, dilation = layer.kernel_size[0], layer.dilation[0]
        padding = kernel_size // 2 * dilation
        return nn.Conv2d(in_channels, out_channels, kernel_size, 1, padding, dilation, bias=False)
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, bias=False), layer)


def with_bias(layer: nn.Module) -> nn.Module:
    """Give a convolution that no batch norm follows its bias; other layers are left alone."""
    if isinstance(layer, nn.Conv2d) and layer.bias is None:
        layer.bias = nn.Parameter(torch.zeros_like(layer.weight[:, 0, 0, 0]))
    return layer


def conv_norm_relu(
    in_channels: int, out_channels: int, layer: nn.Module | None = None
) -> nn.Sequential:
    """A layer (default: a 1x1 convolution) without bias, its batch norm and its ReLU."""
    if layer is None:
        layer = nn.Conv2d(in_channels, out_channels, 1, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True))
