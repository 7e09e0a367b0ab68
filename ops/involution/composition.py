"""What the fused operators compute, as compositions of torch's operators and the family's."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ops.involution import library
from ops.involution.backends.base import Gradients
from ops.pointwise import adds_bias_late, over_pixels

__all__ = ["composed", "composed_backward", "composed_bottleneck"]

Ints = Sequence[int]


def composed(
    x: Tensor,
    features: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Ints,
    padding: Ints,
    dilation: Ints,
    backend: str | None = None,
) -> Tensor:
    """What `fused` computes."""
    kernel = _span(features, weight, bias)
    return library.aggregate(x, kernel, stride, padding, dilation, backend)


def composed_backward(
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
    """What `fused_backward` computes; differentiable again."""
    window = (stride, padding, dilation, backend)
    groups, size, _, hidden = weight.shape
    kernel = _span(features, weight, bias)
    grad_x = library.grad_input(grad_output, kernel, x.shape[2:], *window)
    grad_kernel = library.grad_kernel(grad_output, x, size, groups, *window).flatten(1, 3)
    matrix = weight.reshape(-1, hidden, 1, 1)
    grad_features, grad_weight, grad_bias = torch.ops.aten.convolution_backward(
        *(grad_kernel, features, matrix, [matrix.shape[0]]),
        *([1, 1], [0, 0], [1, 1], False, [0, 0], 1, [True, True, bias is not None]),
    )
    if bias is None:
        return grad_x, grad_features, grad_weight.view(weight.shape), weight.new_empty(0)
    return grad_x, grad_features, grad_weight.view(weight.shape), grad_bias.view(bias.shape)


def composed_bottleneck(
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
    """What `bottleneck` computes."""
    steps = (stride[0], stride[1])
    pooled = F.avg_pool2d(x, steps, steps, ceil_mode=True, count_include_pad=False)
    reduced = F.conv2d(pooled, reduce)
    features = F.relu(F.batch_norm(reduced, mean, variance, gain, offset, eps=epsilon))
    return composed(x, features, weight, bias, stride, padding, dilation, backend)


def _span(features: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    groups, size, _, hidden = weight.shape
    matrix = weight.reshape(-1, hidden, 1, 1)
    if bias is not None and adds_bias_late(features):
        span = over_pixels(features, matrix, bias.reshape(-1))
    else:
        span = F.conv2d(features, matrix, None if bias is None else bias.reshape(-1))
    kernel: Tensor = span.unflatten(1, (groups, size, size))
    return kernel
