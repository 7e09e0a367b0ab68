"""The native back end's fused forms: generation and aggregation without a kernel tensor."""

from __future__ import annotations

import torch
from torch import Tensor

from ops.involution import layout
from ops.involution.backends.base import Fused, Gradients
from ops.involution.backends.native import library as native
from ops.involution.geometry import Geometry

__all__ = ["FUSED"]


def forward(
    x: Tensor, features: Tensor, weight: Tensor, bias: Tensor | None, geometry: Geometry
) -> Tensor:
    """y; kernel entries live in cache, for a chunk of pixels and a group at a time."""
    x, features = native.readable(x), native.readable(features)
    weight, bias = weight.contiguous(), _contiguous(bias)
    y = layout.empty_image(geometry.output_shape, x)
    if y.numel():
        steps = _plan(geometry, x, y, features)
        native.call("fused", steps, *_pointers(x, features, weight, bias, y))
    return y


def backward(
    grad_output: Tensor,
    x: Tensor,
    features: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    geometry: Geometry,
) -> Gradients:
    """Gradients of x, features, weight and bias; the kernel is computed again, a chunk at a time.

    At every layer of RedNet-50 that is faster than derivatives through a kernel tensor.
    """
    weight, bias = weight.contiguous(), _contiguous(bias)
    results = (
        layout.empty_image(geometry.input_shape, x),
        layout.empty_image(tuple(features.shape), features),
        torch.empty_like(weight),
        weight.new_empty(weight.shape[:3] if bias is not None else 0),
    )
    if not x.numel():
        for result in results:
            result.zero_()
        return results
    grad_output = native.readable(grad_output)
    x, features = _laid_out(x, results[0]), _laid_out(features, results[1])
    steps = _plan(geometry, x, grad_output, features)
    arguments = _pointers(grad_output, x, features, weight, bias, *results)
    native.call("fused_backward", steps, *arguments)
    return results


def bottleneck(
    x: Tensor,
    reduce: Tensor,
    mean: Tensor,
    variance: Tensor,
    gain: Tensor,
    offset: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    epsilon: float,
    geometry: Geometry,
) -> Tensor:
    """y of the whole layer in eval mode; all but x are contiguous."""
    x = native.readable(x)
    y = layout.empty_image(geometry.output_shape, x)
    if y.numel():
        steps = native.plan(geometry, x.dtype, x.stride(), y.stride(), hidden=reduce.shape[0])
        arguments = _pointers(x, reduce, mean, variance, gain, offset, weight, bias, y)
        native.call("bottleneck", steps, *arguments, epsilon)
    return y


def _plan(geometry: Geometry, x: Tensor, y: Tensor, features: Tensor) -> native.Plan:
    return native.plan(
        geometry,
        x.dtype,
        x.stride(),
        y.stride(),
        hidden=features.shape[1],
        features=features.stride(),
    )


def _pointers(*tensors: Tensor | None) -> list[int]:
    return [0 if tensor is None else tensor.data_ptr() for tensor in tensors]


def _contiguous(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.contiguous()


def _laid_out(tensor: Tensor, like: Tensor) -> Tensor:
    """`tensor` with the strides of `like`: the kernel reads it and writes its gradient alike."""
    return tensor if tensor.stride() == like.stride() else torch.empty_like(like).copy_(tensor)


FUSED = Fused("cpu", forward, backward, bottleneck)
