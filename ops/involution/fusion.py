"""When `Involution2d` runs as one fused operator, and how."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ops.eager import fits, hooked, profiled, recorded, symbolic
from ops.involution.fused import at_once, bottleneck, fused, runs_fused
from ops.involution.generators import BottleneckGenerator
from ops.involution.geometry import Pair
from ops.pointwise import Pointwise

__all__ = ["parts", "run"]

Window = tuple[Pair, Pair, Pair, str | None]
Parts = tuple[Pointwise, nn.BatchNorm2d, Pointwise]


def parts(generator: BottleneckGenerator, x: Tensor, backend: str | None) -> Parts | None:
    """The generator's reduction, batch norm and span, if its layer can run fused on x.

    Only where nobody can tell: not when a part of the generator was replaced or is watched by a
    hook, and not under the tracers of TorchScript and fx, whose graphs show the generator's own
    operators.
    """
    if symbolic(x):
        return None
    if type(generator) is not BottleneckGenerator or not runs_fused(backend, x):
        return None
    if torch._C._get_tracing_state() is not None:
        return None
    reduce, norm, span = generator.reduce, generator.norm, generator.span
    if type(reduce) is not Pointwise or type(norm) is not nn.BatchNorm2d:
        return None
    if type(span) is not Pointwise or hooked(generator, reduce, norm, span):
        return None
    return reduce, norm, span


def _whole(
    generator: BottleneckGenerator,
    reduce: Pointwise,
    norm: nn.BatchNorm2d,
    span: Pointwise,
    x: Tensor,
) -> bool:
    """Whether x and all parts fit each other; what does not, torch's own modules say better."""
    hidden, channels = reduce.weight.shape[:2]
    outputs = generator.groups * generator.kernel_size**2
    statistics = (norm.running_mean, norm.running_var, norm.weight, norm.bias)
    return (
        x.dim() == 4
        and x.shape[1] == channels
        and reduce.bias is None
        and reduce.weight.shape[2:] == span.weight.shape[2:] == (1, 1)
        and span.weight.shape[:2] == (outputs, hidden)
        and (span.bias is None or span.bias.shape == (outputs,))
        and all(one is None or one.shape == (hidden,) for one in statistics)
        and fits(x, reduce.weight, span.weight, span.bias)
    )


def run(generator: BottleneckGenerator, known: Parts, x: Tensor, window: Window) -> Tensor | None:
    """y of the layer: wholly fused in eval mode, else from the generator's features on.

    None where x and the parts do not fit each other.
    """
    reduce, norm, span = known
    folds = _folds(generator, norm, x)
    if folds and not recorded(x) and not profiled():
        y = at_once(x, reduce, norm, span, generator.kernel_size, window)
        if y is not None:
            return y
    if not _whole(generator, reduce, norm, span, x):
        return None
    weight, bias = span.weight, span.bias
    size = generator.kernel_size
    weight = weight.view(-1, size, size, weight.shape[1])
    bias = None if bias is None else bias.view(-1, size, size)
    if not folds:
        return fused(x, generator.features(x), weight, bias, *window)
    statistics = (norm.running_mean, norm.running_var, norm.weight, norm.bias)
    if not fits(x, *statistics):
        return fused(x, generator.features(x), weight, bias, *window)
    return bottleneck(x, reduce.weight, *statistics, weight, bias, norm.eps, *window)


def _folds(generator: nn.Module, norm: nn.BatchNorm2d, x: Tensor) -> bool:
    """Whether the batch norm is a fixed linear map that nothing is differentiated through."""
    if norm.training or not norm.affine or not norm.track_running_stats:
        return False
    if torch.is_autocast_enabled(x.device.type):
        return False
    return not torch.is_grad_enabled() or not (
        x.requires_grad or any(p.requires_grad for p in generator.parameters())
    )
