"""When `Involution2d` runs as one fused operator, and how."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ops.eager import hooked
from ops.involution.fused import bottleneck, fused, runs_fused
from ops.involution.generators import BottleneckGenerator
from ops.involution.geometry import Pair
from ops.pointwise import Pointwise

__all__ = ["fuses", "run"]

Window = tuple[Pair, Pair, Pair, str | None]


def fuses(generator: BottleneckGenerator, x: Tensor, backend: str | None) -> bool:
    """Whether a layer with this generator can run fused on x.

    Only where nobody can tell: not when a part of the generator was replaced or is watched by a
    hook, and not under TorchScript's tracer, whose graphs show the generator's own operators.
    """
    if type(generator) is not BottleneckGenerator or not runs_fused(backend, x):
        return False
    if torch._C._get_tracing_state() is not None:
        return False
    reduce, norm, span = generator.reduce, generator.norm, generator.span
    return (
        type(reduce) is Pointwise
        and type(norm) is nn.BatchNorm2d
        and type(span) is Pointwise
        and not hooked(generator, reduce, norm, span)
    )


def run(generator: BottleneckGenerator, x: Tensor, window: Window) -> Tensor:
    """y of the layer: wholly fused in eval mode, else from the generator's features on."""
    span, norm = generator.span, generator.norm
    sizes = (generator.groups, generator.kernel_size, generator.kernel_size)
    weight, bias = span.weight.view(*sizes, -1), span.bias
    bias = None if bias is None else bias.view(sizes)
    if not _folds(generator, norm, x):
        return fused(x, generator.features(x), weight, bias, *window)
    statistics = (norm.running_mean, norm.running_var, norm.weight, norm.bias)
    reduce = generator.reduce.weight
    return bottleneck(x, reduce, *statistics, weight, bias, norm.eps, *window)


def _folds(generator: nn.Module, norm: nn.BatchNorm2d, x: Tensor) -> bool:
    """Whether the batch norm is a fixed linear map that nothing is differentiated through."""
    if norm.training or not norm.affine or not norm.track_running_stats:
        return False
    if torch.is_autocast_enabled(x.device.type) or norm.weight.dtype != x.dtype:
        return False
    return not torch.is_grad_enabled() or not (
        x.requires_grad or any(p.requires_grad for p in generator.parameters())
    )
