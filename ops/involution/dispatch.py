"""What the dispatcher runs above an operator's kernel: autograd and autocast.

By hand, because `torch.library.register_autograd` costs 10 us more a call.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

__all__ = ["Operator", "autocast", "differentiable"]

Operator = Callable[..., Tensor]
Derivatives = Callable[[Any, Tensor], tuple[Tensor | None, Tensor | None]]


class _Differentiable(torch.autograd.Function):
    """One call of an operator of two tensors and further arguments, with its derivatives."""

    @staticmethod
    def forward(
        ctx: Any,
        below: Operator,
        keys: torch._C.DispatchKeySet,
        derivatives: Derivatives,
        first: Tensor,
        second: Tensor,
        *rest: Any,
    ) -> Tensor:
        ctx.derivatives, ctx.rest = derivatives, rest
        ctx.save_for_backward(first, second)
        return below(keys, first, second, *rest)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        ctx.wanted = ctx.needs_input_grad[3:5]
        return None, None, None, *ctx.derivatives(ctx, gradients[0]), *(None for _ in ctx.rest)


def differentiable(operator: Any, derivatives: Derivatives) -> Callable[..., Tensor]:
    """The Autograd kernel of `operator(first, second, *rest)`.

    Args:
        operator: An OpOverload.
        derivatives: (ctx, gradient of the result) -> gradients of first and second. `ctx` has
            `saved_tensors` (first, second), `rest`, and `wanted`, which of the two are needed.
    """
    redispatch: Operator = operator.redispatch
    apply: Operator = _Differentiable.apply

    def below(keys: torch._C.DispatchKeySet, *args: Any) -> Tensor:
        with torch._C._AutoDispatchBelowAutograd():
            return redispatch(keys & torch._C._after_autograd_keyset, *args)

    def call(keys: torch._C.DispatchKeySet, first: Tensor, second: Tensor, *rest: Any) -> Tensor:
        if torch.is_grad_enabled() and (first.requires_grad or second.requires_grad):
            return apply(below, keys, derivatives, first, second, *rest)
        return below(keys, first, second, *rest)

    return call


def autocast(operator: Operator, key: str) -> Callable[..., Tensor]:
    """The kernel of an Autocast key: casts every tensor, as convolution does; fp64 stays."""
    device = key.removeprefix("Autocast").lower()
    above = torch._C.DispatchKeySet(getattr(torch._C.DispatchKey, key))

    def call(*arguments: Any) -> Tensor:
        dtype = torch.get_autocast_dtype(device)
        with torch._C._ExcludeDispatchKeyGuard(above):
            return operator(*(_lower(argument, dtype) for argument in arguments))

    return call


def _lower(argument: Any, dtype: torch.dtype) -> Any:
    if not isinstance(argument, Tensor):
        return argument
    eligible = argument.is_floating_point() and argument.dtype != torch.float64
    return argument.to(dtype) if eligible else argument
