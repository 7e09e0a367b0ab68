"""Whether anybody looks between the operators: only where nobody does may they be run as one."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.modules import module as hooks

__all__ = ["hooked", "traced"]


def traced() -> bool:
    """Whether a compiler, a tracer or a dispatch mode records what runs."""
    return (
        torch.compiler.is_compiling()
        or torch._C._get_tracing_state() is not None
        or torch._C._len_torch_dispatch_stack() > 0
    )


def hooked(*modules: nn.Module) -> bool:
    """Whether a hook, of one of the modules or of all, wants to see a module's call."""
    return hooks._has_any_global_hook() or any(
        module._forward_hooks
        or module._forward_pre_hooks
        or module._backward_hooks
        or module._backward_pre_hooks
        for module in modules
    )
