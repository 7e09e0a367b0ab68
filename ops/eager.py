"""Whether anybody looks between the operators: only where nobody does may they be run as one."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn.modules import module as hooks

__all__ = ["hooked", "recorded"]


def recorded(x: Tensor) -> bool:
    """Whether what happens to x is recorded or transformed.

    By a compiler, a tracer, a dispatch mode, a tensor subclass, torch.func or forward-mode
    derivatives; those of autograd are not meant, they show at the tensors.
    """
    return (
        type(x) is not Tensor
        or torch.compiler.is_compiling()
        or torch._C._get_tracing_state() is not None
        or torch._C._len_torch_dispatch_stack() > 0
        or torch._C._functorch.maybe_current_level() is not None
        or forward_ad._current_level >= 0
    )


def hooked(*modules: nn.Module) -> bool:
    """Whether a hook, of one of the modules or of all, wants to see a module's call."""
    if hooks._has_any_global_hook():
        return True
    for module in modules:
        if (
            module._forward_hooks
            or module._forward_pre_hooks
            or module._backward_hooks
            or module._backward_pre_hooks
        ):
            return True
    return False
