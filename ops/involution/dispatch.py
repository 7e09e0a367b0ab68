"""What the dispatcher runs above an operator's kernel: autograd, vmap and autocast.

By hand, because `torch.library.register_autograd` costs 10 us more a call.

Each transform of `torch.func` is a level of its own, and runs these kernels with that level's
tensors: `Autograd` for grad, vjp and jvp, `FuncTorchBatched` for vmap. They see one level only, and
call on to the next, so that transforms of transforms need no code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch._functorch.utils import enable_single_level_autograd_function
from torch.autograd import forward_ad
from torch.autograd.function import _SingleLevelFunction

__all__ = ["Operator", "autocast", "carries_tangents", "differentiable", "mapped", "transformed"]

Operator = Callable[..., Tensor]
Derivatives = Callable[[Any, Tensor], tuple[Tensor | None, Tensor | None]]


class _Rule(NamedTuple):
    """An operator, and the gradients of its two tensors."""

    operator: Operator
    derivatives: Derivatives


class _Differentiable(_SingleLevelFunction):
    """One call of an operator, linear in each of two tensors, with its derivatives.

    A `torch.autograd.Function` would see to all levels of torch.func at once, above the dispatcher;
    this base of it sees to the level whose kernel calls it.
    """

    @staticmethod
    def forward(
        ctx: Any,
        below: Operator,
        keys: torch._C.DispatchKeySet,
        rule: _Rule,
        first: Tensor,
        second: Tensor,
        *rest: Any,
    ) -> Tensor:
        ctx.rule, ctx.rest = rule, rest
        ctx.save_for_backward(first, second)
        if forward_ad._current_level >= 0:
            ctx.save_for_forward(first, second)
            ctx.set_materialize_grads(False)
        return below(keys, first, second, *rest)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        ctx.wanted = ctx.needs_input_grad[3:5]
        none = (None for _ in ctx.rest)
        if gradients[0] is None:  # only under forward mode, see above
            return None, None, None, None, None, *none
        return None, None, None, *ctx.rule.derivatives(ctx, gradients[0]), *none

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor | None) -> Tensor:
        """By the product rule: two calls, or one where only one of the tensors has a tangent."""
        operator: Operator = ctx.rule.operator
        rest = ctx.rest
        # Autograd turns forward mode off for this function: for outer levels of torch.func, too,
        # which would lose their tangents. At this level the primals have none.
        with forward_ad._set_fwd_grad_enabled(True):
            first, second = (forward_ad.unpack_dual(tensor).primal for tensor in ctx.saved_tensors)
            to_first, to_second = tangents[3:5]
            if to_second is None:
                return operator(to_first, second, *rest)
            if to_first is None:
                return operator(first, to_second, *rest)
            return operator(to_first, second, *rest) + operator(first, to_second, *rest)


_apply: Operator = _Differentiable.apply  # type: ignore[attr-defined]


def differentiable(operator: Any, derivatives: Derivatives) -> Callable[..., Tensor]:
    """The Autograd kernel of `operator(first, second, *rest)`, linear in first and in second.

    Args:
        operator: An OpOverload.
        derivatives: (ctx, gradient of the result) -> gradients of first and second. `ctx` has
            `saved_tensors` (first, second), `rest`, and `wanted`, which of the two are needed.
    """
    redispatch: Operator = operator.redispatch
    rule = _Rule(operator, derivatives)

    def below(keys: torch._C.DispatchKeySet, *args: Any) -> Tensor:
        with torch._C._AutoDispatchBelowAutograd():
            return redispatch(keys & torch._C._after_autograd_keyset, *args)

    def call(keys: torch._C.DispatchKeySet, first: Tensor, second: Tensor, *rest: Any) -> Tensor:
        if (torch.is_grad_enabled() and (first.requires_grad or second.requires_grad)) or (
            forward_ad._current_level >= 0 and carries_tangents((first, second))
        ):
            if transformed():
                with enable_single_level_autograd_function():
                    return _apply(next_level, keys, rule, first, second, *rest)
            return _apply(below, keys, rule, first, second, *rest)
        return below(keys, first, second, *rest)

    def next_level(keys: torch._C.DispatchKeySet, *args: Any) -> Tensor:
        # A Function turns gradients off, but is to do so for its own level only.
        with torch.enable_grad(), forward_ad._set_fwd_grad_enabled(True):
            return below(keys, *args)

    return call


def transformed() -> bool:
    """Whether a transform of torch.func runs."""
    active: bool = torch._C._are_functorch_transforms_active()
    return active


def carries_tangents(arguments: Sequence[Any]) -> bool:
    """Whether one of `arguments` is a dual tensor of forward-mode AD, and that is on."""
    if forward_ad._current_level < 0 or not torch._C._is_fwd_grad_enabled():
        return False
    return any(
        isinstance(argument, Tensor) and forward_ad.unpack_dual(argument).tangent is not None
        for argument in arguments
    )


def mapped(operator: Operator) -> Callable[..., tuple[Tensor, int]]:
    """The vmap rule of `operator(first, second, *rest)`: the mapped dimension joins the batch."""

    def rule(
        info: Any, dims: Sequence[int | None], first: Tensor, second: Tensor, *rest: Any
    ) -> tuple[Tensor, int]:
        both = [
            _lead(t, dim, info.batch_size) for t, dim in zip((first, second), dims, strict=False)
        ]
        batch = both[0].shape[1:2]
        result = operator(*(tensor.flatten(0, 1) for tensor in both), *rest)
        return result.unflatten(0, (info.batch_size, *batch)), 0

    return rule


def _lead(tensor: Tensor, dim: int | None, size: int) -> Tensor:
    """`tensor` with its mapped dimension in front, without one repeated along it."""
    return tensor.expand(size, *tensor.shape) if dim is None else tensor.movedim(dim, 0)


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
