"""When `Involution2d` runs as one fused operator, and how."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.modules import module as hooks

from ops.involution.fused import bottleneck, fused, runs_fused
from ops.involution.generators import BottleneckGenerator
from ops.involution.geometry import Pair

__all__ = ["fuses", "run"]

Window = tuple[Pair, Pair, Pair, str | None]

PARTS = {"reduce": nn.Conv2d, "norm": nn.BatchNorm2d, "span": nn.Conv2d}


def fuses(generator: BottleneckGenerator, x: Tensor, backend: str | None) -> bool:
    """Whether a layer with this generator can run fused on x.

    Only where nobody can tell: not when a part of the generator was replaced or is watched by a
    hook, and not under TorchScript's tracer, whose graphs show the generator's own operators.
    """
    if not runs_fused(backend, x) or torch._C._get_tracing_state() is not None:
        return False
    if type(generator) is not BottleneckGenerator or hooks._has_any_global_hook():
        return False
    parts = dict(generator.named_children())
    kinds = {name: type(part) for name, part in parts.items()}
    return kinds == PARTS and not any(map(_is_watched, (generator, *parts.values())))


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


def _is_watched(part: nn.Module) -> bool:
    return bool(
        part._forward_hooks
        or part._forward_pre_hooks
        or part._backward_hooks
        or part._backward_pre_hooks
    )
