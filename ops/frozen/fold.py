"""A batch norm with fixed statistics as a part of the convolution before it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ops.eager import hooked
from ops.pointwise import Pointwise

__all__ = ["folded", "is_convolution", "is_norm", "scale_and_offset"]


def is_convolution(module: nn.Module | None) -> bool:
    """Whether a module is a plain 2D convolution, that nobody looks at or changes.

    Subclasses, parametrized ones among them, compute their weights or results in ways of their own.
    """
    return (
        type(module) in (nn.Conv2d, Pointwise)
        and isinstance(module, nn.Conv2d)
        and not hooked(module)
        and module.padding_mode == "zeros"
        and not isinstance(module.padding, str)
        and module.weight.is_floating_point()
    )


def is_norm(module: nn.Module | None) -> bool:
    """Whether a module is a batch norm that is a fixed linear map, and nobody looks at it."""
    return (
        type(module) is nn.BatchNorm2d
        and not hooked(module)
        and not module.training
        and module.running_mean is not None
        and module.running_var is not None
    )


def scale_and_offset(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """What a batch norm multiplies by and adds, (C,), in float64."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    mean, variance = norm.running_mean.double(), norm.running_var.double()
    scale = (variance + norm.eps).rsqrt()
    if norm.weight is not None:
        scale = scale * norm.weight.double()
    offset = -mean * scale
    if norm.bias is not None:
        offset = offset + norm.bias.double()
    return scale, offset


@torch.no_grad()
def folded(conv: nn.Conv2d, norm: nn.BatchNorm2d | None) -> tuple[Tensor, Tensor | None]:
    """Weight (C_out, C_in / groups, K, K) and bias (C_out,) of both together, of conv's type.

    Products are taken in float64 and rounded once: the result is as near to the two layers' as they
    are to what they stand for.
    """
    weight, bias = conv.weight.detach().double(), conv.bias
    total = None if bias is None else bias.detach().double()
    if norm is not None:
        scale, offset = scale_and_offset(norm)
        weight = weight * scale[:, None, None, None]
        total = offset if total is None else offset + total * scale
    dtype = conv.weight.dtype
    return weight.to(dtype), None if total is None else total.to(dtype)
