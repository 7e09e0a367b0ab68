"""The trilinear family of involution in torch.library, namespace `involution`.

One form, L(g, x, H) = sum of g * x * H over every output pixel and window position, gives three
operators: `aggregate` is its derivative by g, `grad_input` by x, `grad_kernel` by H. Each one's
derivatives are the other two, so derivatives of every order exist.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ops.involution import layout
from ops.involution.backends import choose
from ops.involution.dispatch import Operator, autocast, differentiable, mapped
from ops.involution.geometry import of_aggregate, of_grad_input, of_grad_kernel

__all__ = ["aggregate", "grad_input", "grad_kernel"]

Ints = Sequence[int]

_WINDOW = "int[2] stride, int[2] padding, int[2] dilation, str? backend=None"
_LIBRARY = torch.library.Library("involution", "DEF")
_LIBRARY.define(f"aggregate(Tensor x, Tensor kernel, {_WINDOW}) -> Tensor")
_LIBRARY.define(
    f"grad_input(Tensor grad_output, Tensor kernel, SymInt[2] input_size, {_WINDOW}) -> Tensor"
)
_LIBRARY.define(
    f"grad_kernel(Tensor grad_output, Tensor x, int kernel_size, int groups, {_WINDOW}) -> Tensor"
)

aggregate: Operator = torch.ops.involution.aggregate.default
"""y (B, C, H_out, W_out) from x (B, C, H, W) and kernel (B, G, K, K, H_out, W_out)."""
grad_input: Operator = torch.ops.involution.grad_input.default
"""Gradient of x (B, C, H, W) from grad_output (B, C, H_out, W_out) and kernel."""
grad_kernel: Operator = torch.ops.involution.grad_kernel.default
"""Gradient of the kernel (B, G, K, K, H_out, W_out) from grad_output and x."""


def _aggregate(
    x: Tensor,
    kernel: Tensor,
    stride: Ints,
    padding: Ints,
    dilation: Ints,
    backend: str | None = None,
) -> Tensor:
    geometry = of_aggregate(x, kernel, stride, padding, dilation)
    return choose(backend, x, geometry).aggregate(x, kernel, geometry)


def _grad_input(
    grad_output: Tensor,
    kernel: Tensor,
    input_size: Ints,
    stride: Ints,
    padding: Ints,
    dilation: Ints,
    backend: str | None = None,
) -> Tensor:
    geometry = of_grad_input(grad_output, kernel, input_size, stride, padding, dilation)
    return choose(backend, grad_output, geometry).grad_input(grad_output, kernel, geometry)


def _grad_kernel(
    grad_output: Tensor,
    x: Tensor,
    kernel_size: int,
    groups: int,
    stride: Ints,
    padding: Ints,
    dilation: Ints,
    backend: str | None = None,
) -> Tensor:
    geometry = of_grad_kernel(grad_output, x, kernel_size, groups, stride, padding, dilation)
    return choose(backend, x, geometry).grad_kernel(grad_output, x, geometry)


def _fake_aggregate(
    x: Tensor,
    kernel: Tensor,
    stride: Ints,
    padding: Ints,
    dilation: Ints,
    backend: str | None = None,
) -> Tensor:
    geometry = of_aggregate(x, kernel, stride, padding, dilation)
    return layout.empty_image(geometry.output_shape, x)


def _fake_grad_input(
    grad_output: Tensor,
    kernel: Tensor,
    input_size: Ints,
    stride: Ints,
    padding: Ints,
    dilation: Ints,
    backend: str | None = None,
) -> Tensor:
    geometry = of_grad_input(grad_output, kernel, input_size, stride, padding, dilation)
    return layout.empty_image(geometry.input_shape, grad_output)


def _fake_grad_kernel(
    grad_output: Tensor,
    x: Tensor,
    kernel_size: int,
    groups: int,
    stride: Ints,
    padding: Ints,
    dilation: Ints,
    backend: str | None = None,
) -> Tensor:
    geometry = of_grad_kernel(grad_output, x, kernel_size, groups, stride, padding, dilation)
    return layout.empty_kernel(geometry, grad_output)


def _aggregate_derivatives(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
    (x, kernel), window = ctx.saved_tensors, ctx.rest
    to_x, to_kernel = ctx.wanted
    return (
        grad_input(gradient, kernel, x.shape[2:], *window) if to_x else None,
        grad_kernel(gradient, x, kernel.shape[2], kernel.shape[1], *window) if to_kernel else None,
    )


def _grad_input_derivatives(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
    (output, kernel), (_, *window) = ctx.saved_tensors, ctx.rest
    to_output, to_kernel = ctx.wanted
    sizes = kernel.shape[2], kernel.shape[1]
    return (
        aggregate(gradient, kernel, *window) if to_output else None,
        grad_kernel(output, gradient, *sizes, *window) if to_kernel else None,
    )


def _grad_kernel_derivatives(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
    (output, x), (_, _, *window) = ctx.saved_tensors, ctx.rest
    to_output, to_x = ctx.wanted
    return (
        aggregate(x, gradient, *window) if to_output else None,
        grad_input(output, gradient, x.shape[2:], *window) if to_x else None,
    )


for _operator, _kernel, _fake, _derivatives in (
    (aggregate, _aggregate, _fake_aggregate, _aggregate_derivatives),
    (grad_input, _grad_input, _fake_grad_input, _grad_input_derivatives),
    (grad_kernel, _grad_kernel, _fake_grad_kernel, _grad_kernel_derivatives),
):
    _name = str(_operator).split(".")[1]
    _LIBRARY.impl(_name, _kernel, "CompositeExplicitAutograd")
    torch.library.register_fake(f"involution::{_name}", _fake, lib=_LIBRARY)
    _LIBRARY.impl(_name, differentiable(_operator, _derivatives), "Autograd", with_keyset=True)
    torch.library.register_vmap(f"involution::{_name}", mapped(_operator), lib=_LIBRARY)
    for _key in ("AutocastCPU", "AutocastCUDA", "AutocastXPU", "AutocastMPS"):
        _LIBRARY.impl(_name, autocast(_operator, _key), _key)
