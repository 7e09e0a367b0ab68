"""What is timed: one pass of a layer, as a function of no arguments."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.nn.parameter import UninitializedBuffer, is_lazy

from ops.timing.results import leaves

__all__ = ["MODES", "Layer", "Mode", "workload"]

Mode = Literal["forward", "backward", "train"]
MODES: tuple[Mode, ...] = get_args(Mode)
Layer = nn.Module | Callable[[Tensor], Any]


@contextlib.contextmanager
def workload(
    layer: Layer | ExportedProgram, x: Tensor, mode: Mode
) -> Iterator[Callable[[], object]]:
    """Yields the pass to time; leaves the layer, and the random numbers to come, as they were.

    Args:
        layer: Anything that maps `x` to tensors; an exported program, which runs in the mode that
            it was exported in. A module with a parameter of another device or dtype than `x`, or
            one that is not initialised yet, is copied; otherwise it is used as it is.
        x: The input.
        mode: `forward` (eval, inference mode), `backward` (gradients of the input and of every
            parameter for random ones of the outputs, the forward pass not included), or `train`
            (forward and backward).

    Raises:
        ValueError: If gradients are asked for and no output has any.
    """
    layer = _placed(_program_module(layer), x)
    devices = [x.device] if x.device.type == "cuda" else []
    with torch.random.fork_rng(devices), _as_it_was(layer):
        if isinstance(layer, nn.Module):
            _put_in_mode(layer, mode != "forward")
        if mode == "forward":
            with torch.inference_mode():
                yield lambda: layer(x)
        else:
            with torch.enable_grad():
                yield _with_gradients(layer, x.requires_grad_(), mode)


def _program_module(layer: Layer | ExportedProgram) -> Layer:
    """The module of an exported program; anything else as it is."""
    return layer.module() if isinstance(layer, ExportedProgram) else layer


def _placed(layer: Layer, x: Tensor) -> Layer:
    if not isinstance(layer, nn.Module):
        return layer
    tensors = [*layer.parameters(), *layer.buffers()]
    lazy = any(map(is_lazy, tensors))
    floats = [tensor for tensor in tensors if tensor.is_floating_point()]
    if not lazy and all(t.device == x.device and t.dtype == x.dtype for t in floats):
        return layer
    placed = copy.deepcopy(layer, _lazy_buffers(layer)).to(x.device, x.dtype)
    if lazy:  # its weights must be ordinary tensors, not ones of inference mode
        with torch.random.fork_rng([]), torch.no_grad():
            placed(x)
    return placed


def _lazy_buffers(layer: nn.Module) -> dict[int, Tensor]:
    """Copies of buffers that are not initialised yet, which `deepcopy` itself cannot make."""
    return {
        # torch's types know no arguments of it
        id(buffer): UninitializedBuffer(device=buffer.device, dtype=buffer.dtype)  # type: ignore[call-arg]
        for buffer in layer.buffers()
        if is_lazy(buffer)
    }


def _put_in_mode(layer: nn.Module, training: bool) -> None:
    with contextlib.suppress(NotImplementedError):  # a program runs in the mode it was exported in
        layer.train(training)


@contextlib.contextmanager
def _as_it_was(layer: Layer) -> Iterator[None]:
    """Puts back training flags and buffers, and what a module has kept from inference mode."""
    modules = list(layer.modules()) if isinstance(layer, nn.Module) else []
    flags = [(module, module.training) for module in modules if hasattr(module, "training")]
    buffers = [
        (module._buffers, name, buffer, buffer.detach().clone())
        for module in modules
        for name, buffer in module._buffers.items()
        if buffer is not None
    ]
    try:
        yield
    finally:
        for module, training in flags:
            module.training = training
        for place, name, buffer, before in buffers:
            place[name] = buffer
            _refill(buffer, before)
        for module in modules:
            _leave_inference_mode(module)


def _refill(buffer: Tensor, before: Tensor) -> None:
    # only where it changed: somebody may still want to differentiate through it
    if not buffer.is_meta and not torch.equal(buffer, before):
        with torch.inference_mode(buffer.is_inference()), torch.no_grad():
            buffer.copy_(before)


def _leave_inference_mode(module: nn.Module) -> None:
    """Makes tensors that a module keeps from its first call fit for training."""
    for name, value in list(module.__dict__.items()):
        if isinstance(value, Tensor) and value.is_inference():
            module.__dict__[name] = value.clone()


def _with_gradients(layer: Layer, x: Tensor, mode: Mode) -> Callable[[], object]:
    weights = list(layer.parameters()) if isinstance(layer, nn.Module) else []
    inputs = [x, *(weight for weight in weights if weight.requires_grad)]
    outputs = _differentiable(layer(x))
    if not outputs:
        raise ValueError(
            f"measure: mode = {mode!r} needs an output that has gradients; the layer gives none"
        )
    generator = torch.Generator().manual_seed(1)
    upstream = [
        torch.empty_like(y).copy_(torch.randn(y.shape, generator=generator, dtype=y.dtype))
        for y in outputs
    ]

    def gradients(of: Sequence[Tensor], again: bool) -> object:
        return torch.autograd.grad(of, inputs, upstream, retain_graph=again, allow_unused=True)

    if mode == "backward":
        return lambda: gradients(outputs, True)
    return lambda: gradients(_differentiable(layer(x)), False)


def _differentiable(result: Any) -> Sequence[Tensor]:
    if isinstance(result, Tensor):
        return (result,) if result.requires_grad else ()
    found = leaves(result).values()
    return [leaf for leaf in found if isinstance(leaf, Tensor) and leaf.requires_grad]
