"""What is timed: one pass of a layer, as a function of no arguments."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

__all__ = ["MODES", "Layer", "Mode", "workload"]

Mode = Literal["forward", "backward", "train"]
MODES: tuple[Mode, ...] = get_args(Mode)
Layer = nn.Module | Callable[[Tensor], Any]


@contextlib.contextmanager
def workload(layer: Layer, x: Tensor, mode: Mode) -> Iterator[Callable[[], object]]:
    """Yields the pass to time; puts the layer's training flag back afterwards.

    Args:
        layer: Anything that maps `x` to a tensor. A module with a parameter of another device or
            dtype than `x` is copied there; otherwise it is used as it is.
        x: The input.
        mode: `forward` (eval, inference mode), `backward` (gradients of the input and of every
            parameter for a random one of the output, the forward pass not included), or `train`
            (forward and backward).
    """
    layer = _placed(layer, x)
    flags = [(m, m.training) for m in layer.modules()] if isinstance(layer, nn.Module) else []
    if isinstance(layer, nn.Module):
        layer.train(mode != "forward")
    try:
        if mode == "forward":
            with torch.inference_mode():
                yield lambda: layer(x)
        else:
            with torch.enable_grad():
                yield _with_gradients(layer, x.requires_grad_(), mode)
    finally:
        for module, training in flags:
            module.training = training


def _placed(layer: Layer, x: Tensor) -> Layer:
    if not isinstance(layer, nn.Module):
        return layer
    floats = [t for t in (*layer.parameters(), *layer.buffers()) if t.is_floating_point()]
    if all(t.device == x.device and t.dtype == x.dtype for t in floats):
        return layer
    return copy.deepcopy(layer).to(x.device, x.dtype)


def _with_gradients(layer: Layer, x: Tensor, mode: Mode) -> Callable[[], object]:
    weights = list(layer.parameters()) if isinstance(layer, nn.Module) else []
    inputs = [x, *(weight for weight in weights if weight.requires_grad)]
    y = layer(x)
    generator = torch.Generator().manual_seed(1)
    upstream = torch.empty_like(y).copy_(torch.randn(y.shape, generator=generator))
    if mode == "backward":
        return lambda: torch.autograd.grad(y, inputs, upstream, retain_graph=True)
    return lambda: torch.autograd.grad(layer(x), inputs, upstream)
