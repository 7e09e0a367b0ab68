"""Generation and aggregation as one operator, in torch.library, namespace `involution`.

`fused` is an involution over x whose kernel is a 1x1 convolution of features; `fused_backward` has
its gradients, and `bottleneck` is the paper's whole layer in eval mode. A back end with fused forms
runs them without a kernel tensor; with any other they are compositions of torch's operators and
`aggregate`. Derivatives of higher order, forward-mode ones and the transforms of torch.func go
through the composition.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

from ops.eager import plain
from ops.involution import layout
from ops.involution.backends import TABLE, choose
from ops.involution.backends.base import Gradients
from ops.involution.composition import composed, composed_backward, composed_bottleneck
from ops.involution.dispatch import Operator, autocast, carries_tangents, transformed
from ops.involution.geometry import (
    BIAS_AXES,
    FEATURES_AXES,
    OUTPUT_AXES,
    Geometry,
    Pair,
    of_span,
    require_parts,
)

__all__ = ["at_once", "bottleneck", "fused", "fused_backward", "runs_fused"]

Ints = Sequence[int]

_WINDOW = "int[2] stride, int[2] padding, int[2] dilation, str? backend=None"
_SPAN = f"Tensor features, Tensor weight, Tensor? bias, {_WINDOW}"
_LIBRARY = torch.library.Library("involution", "FRAGMENT")
_LIBRARY.define(f"fused(Tensor x, {_SPAN}) -> Tensor")
_LIBRARY.define(
    f"fused_backward(Tensor grad_output, Tensor x, {_SPAN}) -> (Tensor, Tensor, Tensor, Tensor)"
)
_LIBRARY.define(
    "bottleneck(Tensor x, Tensor reduce, Tensor mean, Tensor variance, Tensor gain, Tensor offset, "
    f"Tensor weight, Tensor? bias, float epsilon, {_WINDOW}) -> Tensor"
)

fused: Operator = torch.ops.involution.fused.default
"""y (B, C, H_out, W_out) from x (B, C, H, W), features (B, I, H_out, W_out), weight (G, K, K, I),
bias (G, K, K) or None: aggregation of x with the kernel that features, weight and bias make."""
fused_backward: Callable[..., Gradients] = torch.ops.involution.fused_backward.default
"""Gradients of x, features, weight and bias (empty without one) from grad_output and those."""
bottleneck: Operator = torch.ops.involution.bottleneck.default
"""y of the layer whose features are relu(batch_norm(conv(pooled x))), in eval mode. reduce
(I, C, 1, 1) is the convolution's weight; mean, variance, gain, offset (I) and epsilon are the batch
norm's."""


def runs_fused(backend: str | None, x: Tensor) -> bool:
    """Whether the back end of that name, or without one any, has fused forms for x's device."""
    for row in TABLE:
        known = row.fused is not None and row.fused.device == x.device.type
        if known and backend in (None, row.name) and row.missing() is None:
            return True
    return False


def at_once(
    x: Tensor,
    reduce: nn.Conv2d,
    norm: nn.BatchNorm2d,
    span: nn.Conv2d,
    kernel_size: int,
    window: tuple[Pair, Pair, Pair, str | None],
) -> Tensor | None:
    """What `bottleneck` runs, straight from a layer's modules: where nothing records x.

    Torch's dispatcher and the checks of shapes that the modules guarantee take three times as long
    as a small kernel. None where the back end is not a CPU's, or something does not fit.
    """
    if not x.is_cpu or x.is_neg():
        return None
    # an attribute takes five times as long; a replica of DataParallel has nothing in these
    weights, scales, moments = span._parameters, norm._parameters, norm._buffers
    first = reduce._parameters.get("weight")
    weight, bias = weights.get("weight"), weights.get("bias")
    vectors = (
        *(moments.get("running_mean"), moments.get("running_var")),
        *(scales.get("weight"), scales.get("bias")),
    )
    if first is None or weight is None or reduce._parameters.get("bias") is not None:
        return None
    if not plain(x.dtype, first, *vectors, weight, bias):
        return None
    shapes = [None if one is None else one.shape for one in (x, first, weight, bias, *vectors)]
    geometry = _fitting(*shapes, kernel_size, window[:3])
    if geometry is None:
        return None
    row = choose(window[3], x, geometry)
    if row.fused is None or row.fused.device != "cpu":
        return None
    return row.fused.bottleneck(x, first, *vectors, weight, bias, norm.eps, geometry)


@functools.lru_cache(4096)
def _fitting(
    x: torch.Size,
    first: torch.Size,
    weight: torch.Size,
    bias: torch.Size | None,
    mean: torch.Size | None,
    variance: torch.Size | None,
    gain: torch.Size | None,
    offset: torch.Size | None,
    size: int,
    steps: tuple[Pair, Pair, Pair],
) -> Geometry | None:
    """The geometry of a layer's call, or None if its tensors' sizes do not fit each other."""
    hidden, groups = first[0], weight[0] // size**2
    fits = (
        len(x) == 4
        and first == (hidden, x[1], 1, 1)
        and weight == (groups * size**2, hidden, 1, 1)
        and bias in (None, weight[:1])
        and all(vector == (hidden,) for vector in (mean, variance, gain, offset))
    )
    if not fits:
        return None
    span = torch.empty(groups, size, size, 1, device="meta")
    return of_span(torch.empty(x, device="meta"), span, *steps)


def _geometry(
    x: Tensor,
    features: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Ints,
    padding: Ints,
    dilation: Ints,
    grad_output: Tensor | None = None,
) -> Geometry:
    """Of a call, all of whose tensors fit each other: kernels take them by their pointers."""
    geometry = of_span(x, weight, stride, padding, dilation)
    require_parts(
        geometry,
        x,
        ("features", features, FEATURES_AXES, _features_shape(geometry, weight)),
        ("bias", bias, BIAS_AXES, tuple(weight.shape[:3])),
        ("grad_output", grad_output, OUTPUT_AXES, geometry.output_shape),
    )
    return geometry


def _features_shape(geometry: Geometry, weight: Tensor) -> tuple[int, ...]:
    return (geometry.batch, weight.shape[3], *geometry.output_size)


def _fused(
    x: Tensor,
    features: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Ints,
    padding: Ints,
    dilation: Ints,
    backend: str | None = None,
) -> Tensor:
    geometry = _geometry(x, features, weight, bias, stride, padding, dilation)
    chosen = choose(backend, x, geometry).fused
    if chosen is not None and chosen.refuses(x, weight, geometry) is None:
        return chosen.forward(x, features, weight, bias, geometry)
    return composed(x, features, weight, bias, stride, padding, dilation, backend)


def _fused_backward(
    grad_output: Tensor,
    x: Tensor,
    features: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Ints,
    padding: Ints,
    dilation: Ints,
    backend: str | None = None,
) -> Gradients:
    geometry = _geometry(x, features, weight, bias, stride, padding, dilation, grad_output)
    chosen = choose(backend, x, geometry).fused
    tensors = (grad_output, x, features, weight, bias)
    if chosen is not None:
        return chosen.backward(*tensors, geometry)
    return composed_backward(*tensors, stride, padding, dilation, backend)


def _bottleneck(
    x: Tensor,
    reduce: Tensor,
    mean: Tensor,
    variance: Tensor,
    gain: Tensor,
    offset: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    epsilon: float,
    stride: Ints,
    padding: Ints,
    dilation: Ints,
    backend: str | None = None,
) -> Tensor:
    geometry = of_span(x, weight, stride, padding, dilation)
    hidden, norm = weight.shape[3], (mean, variance, gain, offset)
    names = ("mean", "variance", "gain", "offset")
    require_parts(
        geometry,
        x,
        ("reduce", reduce, "(C_features, C, 1, 1)", (hidden, geometry.channels, 1, 1)),
        *((name, part, "(C_features)", (hidden,)) for name, part in zip(names, norm, strict=True)),
        ("bias", bias, BIAS_AXES, tuple(weight.shape[:3])),
    )
    chosen = choose(backend, x, geometry).fused
    if chosen is not None and chosen.refuses(x, weight, geometry) is None:
        dense = [None if t is None else t.contiguous() for t in (reduce, *norm, weight, bias)]
        return chosen.bottleneck(x, *dense, epsilon, geometry)
    return composed_bottleneck(
        *(x, reduce, mean, variance, gain, offset, weight, bias, epsilon),
        *(stride, padding, dilation, backend),
    )


def _fake_fused(x: Tensor, features: Tensor, weight: Tensor, bias: Any, *window: Any) -> Tensor:
    return layout.empty_image(_geometry(x, features, weight, bias, *window[:3]).output_shape, x)


def _fake_fused_backward(
    grad_output: Tensor, x: Tensor, features: Tensor, weight: Tensor, bias: Any, *window: Any
) -> Gradients:
    stride, padding, dilation = window[:3]
    geometry = _geometry(x, features, weight, bias, stride, padding, dilation, grad_output)
    return (
        layout.empty_image(geometry.input_shape, x),
        layout.empty_image(tuple(features.shape), features),
        weight.new_empty(weight.shape),
        weight.new_empty(0 if bias is None else weight.shape[:3]),
    )


def _fake_bottleneck(x: Tensor, *rest: Any) -> Tensor:
    weight, window = rest[5], rest[8:11]
    return layout.empty_image(of_span(x, weight, *window).output_shape, x)


class _Fused(torch.autograd.Function):
    """One call of `fused` with its derivatives."""

    @staticmethod
    def forward(
        ctx: Any,
        keys: torch._C.DispatchKeySet,
        x: Tensor,
        features: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        *window: Any,
    ) -> Tensor:
        ctx.window = window
        ctx.save_for_backward(x, features, weight, bias)
        return _fused_below(keys, x, features, weight, bias, *window)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        arguments = (gradients[0], *ctx.saved_tensors, *ctx.window)
        again = torch.is_grad_enabled()
        results = composed_backward(*arguments) if again else fused_backward(*arguments)
        wanted = ctx.needs_input_grad[1:5]
        return (
            None,
            *(g if want else None for g, want in zip(results, wanted, strict=True)),
            *(None for _ in ctx.window),
        )


def _below(operator: Any) -> Callable[..., Any]:
    """`operator` under autograd, as an Autograd kernel calls it on."""
    redispatch = operator.redispatch

    def call(keys: torch._C.DispatchKeySet, *arguments: Any) -> Any:
        with torch._C._AutoDispatchBelowAutograd():
            return redispatch(keys & torch._C._after_autograd_keyset, *arguments)

    return call


_fused_below: Operator = _below(fused)
_fused_apply: Operator = _Fused.apply


def _fused_autograd(keys: torch._C.DispatchKeySet, *arguments: Any) -> Tensor:
    if forward_ad._current_level >= 0 and carries_tangents(arguments):
        return composed(*arguments)
    if _needs_gradients(arguments):
        return composed(*arguments) if transformed() else _fused_apply(keys, *arguments)
    return _fused_below(keys, *arguments)


def _composition_autograd(operator: Any, composition: Any) -> Callable[..., Any]:
    """The Autograd kernel of an operator that is differentiated through its composition."""
    below = _below(operator)

    def call(keys: torch._C.DispatchKeySet, *arguments: Any) -> Any:
        if _needs_gradients(arguments) or carries_tangents(arguments):
            return composition(*arguments)
        return below(keys, *arguments)

    return call


def _needs_gradients(arguments: Sequence[Any]) -> bool:
    if not torch.is_grad_enabled():
        return False
    return any(isinstance(argument, Tensor) and argument.requires_grad for argument in arguments)


_KERNELS: tuple[tuple[str, Any, Any, Any, Any, Any], ...] = (
    ("fused", fused, _fused, _fake_fused, _fused_autograd, composed),
    (
        "fused_backward",
        fused_backward,
        _fused_backward,
        _fake_fused_backward,
        _composition_autograd(fused_backward, composed_backward),
        composed_backward,
    ),
    (
        "bottleneck",
        bottleneck,
        _bottleneck,
        _fake_bottleneck,
        _composition_autograd(bottleneck, composed_bottleneck),
        composed_bottleneck,
    ),
)

for _name, _operator, _kernel, _fake, _autograd, _composition in _KERNELS:
    _LIBRARY.impl(_name, _kernel, "CompositeExplicitAutograd")
    torch.library.register_fake(f"involution::{_name}", _fake, lib=_LIBRARY)
    _LIBRARY.impl(_name, _autograd, "Autograd", with_keyset=True)
    _LIBRARY.impl(_name, _composition, "FuncTorchBatched")
    for _key in ("AutocastCPU", "AutocastCUDA", "AutocastXPU", "AutocastMPS"):
        _LIBRARY.impl(_name, autocast(_operator, _key), _key)
