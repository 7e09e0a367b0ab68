"""A copy of a model in torch's own layers and operators: for ONNX, quantisation, other tools."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from invsearch.models.definition import aggregate, grad_kernel, windows
from ops import Involution2d
from ops.involution.generators import AttentionGenerator
from ops.pointwise import Pointwise
from ops.self_attention import SelfAttention2d

__all__ = ["portable"]

M = TypeVar("M", bound=nn.Module)


def portable(model: M) -> M:
    """Copy a model, its layers of `ops` as modules of torch's own operators.

    Involution and self-attention become slices, products and sums
    (:mod:`invsearch.models.definition`), 1x1 convolutions plain ``nn.Conv2d``. The copy computes
    the same up to rounding, has the same state dict, and is slower: it is for tools that know torch
    alone, such as
    ``torch.onnx.export``, ``torch.fx`` and ``torch.ao.quantization``.

    Args:
        model: Any module, a network of ours or one that holds layers of `ops`; left as it is.

    Returns:
        The copy, of the same class, on the same device and in the same mode.
    """
    copied = copy.deepcopy(model)
    for module in copied.modules():
        kind = _PORTABLE.get(type(module))
        if kind is not None:  # the same attributes and hooks, another forward
            module.__class__ = kind
    return copied


class _Involution(Involution2d):
    """`Involution2d`, generator and aggregation in torch's operators."""

    def forward(self, x: Tensor) -> Tensor:
        return self.aggregate(x, self.generator(x))

    def aggregate(self, x: Tensor, kernel: Tensor) -> Tensor:
        size, steps = self.kernel_size, _steps(self)
        return aggregate(x, kernel, size, *steps)


class _SelfAttention(_Involution):
    """`SelfAttention2d` in torch's operators."""

    value: nn.Module

    def forward(self, x: Tensor) -> Tensor:
        return self.aggregate(self.value(x), self.generator(x))


class _AttentionGenerator(AttentionGenerator):
    """`AttentionGenerator` in torch's operators."""

    def forward(self, x: Tensor) -> Tensor:
        pooled = x
        if self.stride > 1:
            pooled = F.avg_pool2d(
                x, self.stride, self.stride, ceil_mode=True, count_include_pad=False
            )
        query = self.query(pooled) * self.scale
        size, steps = self.kernel_size, _steps(self)
        output = (query.shape[2], query.shape[3])
        logits = grad_kernel(query, self.key(x), size, self.groups, *steps)
        logits = logits + self.position[:, :, :, None, None]
        outside = windows(torch.ones_like(x[:, :1]), size, output, *steps) == 0
        weights: Tensor = logits.masked_fill(outside, -torch.inf).flatten(2, 3).softmax(2)
        by_offset: Tensor = weights.unflatten(2, (size, size))
        return by_offset


_PORTABLE: Mapping[type[nn.Module], type[nn.Module]] = {
    Pointwise: nn.Conv2d,
    Involution2d: _Involution,
    SelfAttention2d: _SelfAttention,
    AttentionGenerator: _AttentionGenerator,
}
"""Of what exactly is one of ours, what does the same with torch's operators."""


def _steps(layer: Involution2d | AttentionGenerator) -> tuple[tuple[int, int], ...]:
    """Stride, padding and dilation."""
    padding = (layer.kernel_size - 1) // 2 * layer.dilation
    return (layer.stride,) * 2, (padding,) * 2, (layer.dilation,) * 2
