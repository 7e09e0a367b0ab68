"""Whether anybody looks between the operators: only where nobody does may they be run as one."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn.modules import module as hooks

__all__ = ["fits", "hooked", "plain", "profiled", "recorded", "symbolic"]

_PLAIN = (Tensor, nn.Parameter)


def symbolic(x: object) -> bool:
    """Whether x stands for a tensor that is not there, as fx's proxy; it answers no question."""
    return not isinstance(x, Tensor)


def recorded(x: Tensor) -> bool:
    """Whether what happens to x is recorded or transformed.

    By a compiler, a tracer, a function or dispatch mode, a tensor subclass, torch.func or
    forward-mode derivatives; those of autograd are not meant, they show at the tensors.
    """
    return (
        type(x) is not Tensor
        or torch.compiler.is_compiling()
        or torch._C._len_torch_function_stack() > 0
        or torch._C._get_tracing_state() is not None
        or torch._C._len_torch_dispatch_stack() > 0
        or torch._C._functorch.maybe_current_level() is not None
        or forward_ad._current_level >= 0
    )


def profiled() -> bool:
    """Whether a profiler is on, which sees what the dispatcher runs and what says its name."""
    enabled: bool = torch._C._autograd._profiler_enabled()
    return enabled


def plain(dtype: torch.dtype, *tensors: Tensor | None) -> bool:
    """Whether a kernel on a CPU may read tensors by their addresses.

    Ordinary ones of that type whose numbers lie one after the other: a fake, distributed,
    offloaded or wrapped tensor has no address worth reading. A negated view has gaps.

    Args:
        dtype: Of all of them.
        *tensors: What the kernel reads; None is nothing.
    """
    for tensor in tensors:
        if tensor is not None and not (
            type(tensor) in _PLAIN
            and tensor.is_cpu
            and tensor.dtype is dtype
            and tensor.is_contiguous()
        ):
            return False
    return True


def fits(like: Tensor, *tensors: Tensor | None) -> bool:
    """Whether tensors are of the type and on the device of `like`, as an operator asks.

    Under autocast types may differ: it casts what the operator gets.
    """
    casts = torch.is_autocast_enabled(like.device.type)
    return all(
        tensor is None or (tensor.device == like.device and (casts or tensor.dtype == like.dtype))
        for tensor in tensors
    )


def hooked(*modules: nn.Module) -> bool:
    """Whether somebody wants to see a module's call: a hook, of one of them or of all, or a
    `forward` that an instance was given in place of its class's.
    """
    if hooks._has_any_global_hook():
        return True
    for module in modules:
        if (
            module._forward_hooks
            or module._forward_pre_hooks
            or module._backward_hooks
            or module._backward_pre_hooks
            or "forward" in module.__dict__
        ):
            return True
    return False
