"""Local self-attention is a member of the involution family, in code and in numbers."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import ops
from ops.self_attention import SelfAttention2d


def attention(module: SelfAttention2d, x: Tensor) -> Tensor:
    """Softmax over each pixel's window, from unfolded keys and values, head by head."""
    generator, size = module.generator, module.kernel_size
    heads, stride, dilation = generator.groups, module.stride, module.dilation
    batch, channels = x.shape[:2]
    pooled = F.avg_pool2d(x, stride, ceil_mode=True, count_include_pad=False)
    rows, columns = pooled.shape[2:]

    def windows(image: Tensor) -> Tensor:
        padding = size // 2 * dilation
        columns_ = F.unfold(image, size, dilation, padding, stride)
        return columns_.view(batch, heads, channels // heads, size * size, rows * columns)

    query = generator.query(pooled).view(batch, heads, -1, 1, rows * columns)
    logits = (query * windows(generator.key(x))).sum(2) * (channels // heads) ** -0.5
    logits = logits + generator.position.view(1, heads, -1, 1)
    inside = windows(torch.ones_like(x))[:, :, 0] > 0
    weights = logits.masked_fill(~inside, -torch.inf).softmax(2)
    y = (weights.unsqueeze(2) * windows(module.value(x))).sum(3)
    return y.view(batch, channels, rows, columns)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("dilation", [1, 2])
def test_equals_attention_over_unfolded_windows(stride: int, dilation: int) -> None:
    module = SelfAttention2d(24, 5, stride, head_channels=8, dilation=dilation).double()
    x = torch.randn(2, 24, 7, 9, dtype=torch.float64)
    torch.testing.assert_close(module(x), attention(module, x))


def test_is_the_involution_of_the_value_with_the_attention_generators_kernel() -> None:
    attention_layer = SelfAttention2d(32, 3, head_channels=8)
    family = ops.Involution2d(32, 3, group_channels=8, generator="attention")
    weights = attention_layer.state_dict()
    value = weights.pop("value.weight")
    family.load_state_dict(weights)
    x = torch.randn(2, 32, 6, 5)
    kernel = family.generator(x)
    torch.testing.assert_close(kernel.flatten(2, 3).sum(2), torch.ones(2, 4, 6, 5))
    y = ops.involution2d(F.conv2d(x, value), kernel)
    assert torch.equal(attention_layer(x), y)
    assert isinstance(attention_layer, ops.Involution2d)


def test_head_channels_that_do_not_divide_are_named() -> None:
    with pytest.raises(ValueError, match="head_channels = 7 does not divide channels = 32"):
        SelfAttention2d(32, head_channels=7)
