"""Count by module: the convention of the paper's tables (facts about it: see module_macs)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.utils.flop_counter import flop_registry

import ops
from invsearch.cost.free import is_free
from invsearch.cost.observe import on_meta
from invsearch.cost.trace import Handle, refuse, trace_handles

__all__ = ["module_macs"]

_RELU = (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.ELU)
_POOL = (
    nn.modules.pooling._MaxPoolNd,
    nn.modules.pooling._AvgPoolNd,
    nn.modules.pooling._AdaptiveMaxPoolNd,
    nn.modules.pooling._AdaptiveAvgPoolNd,
)
_NORM = (_BatchNorm, nn.modules.instancenorm._InstanceNorm, nn.GroupNorm, nn.LayerNorm)
_COUNTED: tuple[type[nn.Module], ...] = (
    _ConvNd,
    nn.Linear,
    nn.Upsample,
    *_RELU,
    *_POOL,
    *_NORM,
)
_GENERATOR_RELU, _GENERATOR_POOL = "aten::relu", "aten::avg_pool2d"
_FUNCTIONAL_NORM = frozenset(
    f"aten::{name}"
    for name in (
        "native_batch_norm",
        "_native_batch_norm_legit",
        "_native_batch_norm_legit_no_training",
        "native_group_norm",
        "native_layer_norm",
    )
)


def module_macs(
    module: nn.Module,
    shape: Sequence[int],
    *,
    exclude_head: bool = False,
    counts: Callable[[str, nn.Module], bool] | None = None,
) -> int:
    """Multiply-adds of one forward pass, as the paper's tables count them.

    Layers that are modules: convolution and linear multiply-adds plus 1 per output for a bias,
    batch norm 2 per element, ReLU 1 per output, pooling 1 per input element, upsampling 1 per
    output. Functional ReLU, pooling and interpolation count 0, but in an involution's generator,
    where the released code has modules. Outside of such layers, functional norms count like
    modules; functional convolutions, matrix products and registered operators' custom operations
    (the aggregation: K * K * C * H * W) count their multiply-adds.

    Args:
        module: Any module that takes one image tensor. It runs on the meta device, in eval mode;
            neither its weights nor its modes are changed.
        shape: Input shape (B, C, H, W).
        exclude_head: Leave out the submodule named ``head`` (the paper's classification tables
            leave out the final linear layer).
        counts: Says of ``(name, submodule)`` whether it is counted; default: all are. What is
            inside an uncounted submodule is not counted either.

    Returns:
        The number of multiply-adds.

    Raises:
        CheckError: If an operation is neither counted nor on the free list of ``cost/free.py``.
    """

    def counted(name: str, part: nn.Module) -> bool:
        if exclude_head and (name == "head" or name.startswith("head.")):
            return False
        return counts is None or counts(name, part)

    counter = _ModuleCounter(module, counted)
    try:
        on_meta(module, shape, see=counter.see)
    finally:
        counter.remove()
    if counter.unknown:
        refuse(dict.fromkeys(counter.unknown))
    return counter.total


class _ModuleCounter:
    """Adds up modules by hooks, and what runs outside of them by dispatch."""

    def __init__(self, module: nn.Module, counted: Callable[[str, nn.Module], bool]) -> None:
        self.total = 0
        self.unknown: list[tuple[str, str]] = []
        self._handles = trace_handles()
        self._silent = 0  # depth inside modules whose operations are already accounted for
        self._generating = 0  # depth inside involutions
        self._path: list[str] = []
        self._hooks: list[Any] = []
        for name, part in module.named_modules():
            self._watch(name, part, counted(name, part))

    def remove(self) -> None:
        for hook in self._hooks:
            hook.remove()

    def _watch(self, name: str, part: nn.Module, counted: bool) -> None:
        silent = not counted or isinstance(part, _COUNTED)
        generating = isinstance(part, ops.Involution2d)

        def enter(part: nn.Module, inputs: Any) -> None:
            self._path.append(name)
            self._silent += silent
            self._generating += generating

        def leave(part: nn.Module, inputs: Any, output: Any) -> None:
            self._path.pop()
            self._silent -= silent
            self._generating -= generating
            if counted and silent and not self._silent:
                self.total += _layer_macs(part, inputs[0], output)

        self._hooks += [part.register_forward_pre_hook(enter), part.register_forward_hook(leave)]

    def see(self, operation: Any, args: Sequence[Any], output: Any) -> None:
        """Count an operation that runs outside of the modules that are counted as such."""
        if self._silent:
            return
        name: str = operation._schema.name
        if self._generating and name == _GENERATOR_RELU:
            self.total += output.numel()
        elif self._generating and name == _GENERATOR_POOL:
            self.total += args[0].numel()
        elif name in _FUNCTIONAL_NORM:
            self.total += 2 * args[0].numel()
        elif name in self._handles:
            self.total += _custom_macs(self._handles[name], args, output)
        elif operation._overloadpacket in flop_registry:
            self.total += flop_registry[operation._overloadpacket](*args, out_val=output) // 2
        elif not is_free(name):
            self.unknown.append((name, self._path[-1] if self._path else ""))


def _layer_macs(layer: nn.Module, x: Tensor, y: Tensor) -> int:
    if isinstance(layer, _ConvNd):
        pixels = x if isinstance(layer, _ConvTransposeNd) else y
        positions = pixels.shape[0] * math.prod(pixels.shape[2:])
        return positions * layer.weight.numel() + (0 if layer.bias is None else y.numel())
    if isinstance(layer, nn.Linear):
        return y.numel() * layer.in_features + (0 if layer.bias is None else y.numel())
    if isinstance(layer, _NORM):
        return (1 if getattr(layer, "weight", None) is None else 2) * x.numel()
    return x.numel() if isinstance(layer, _POOL) else y.numel()


def _custom_macs(handle: Handle, args: Any, output: Any) -> int:
    outputs = [output] if isinstance(output, torch.Tensor) else list(output)
    inputs = [tuple(a.shape) if isinstance(a, torch.Tensor) else None for a in args]
    return handle(inputs, [tuple(y.shape) for y in outputs])
