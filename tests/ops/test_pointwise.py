"""The 1x1 convolution is torch's, to the derivative and the traced count; only its path differs."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from ops.pointwise import Pointwise

SIZES = [(1, 8, 7, 5), (3, 16, 1, 1), (0, 8, 4, 4), (20, 8, 3, 3)]


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", SIZES)
def test_is_a_convolution_with_its_gradients(size: tuple[int, ...], stride: int) -> None:
    layer = Pointwise(size[1], 12, stride, bias=True).double()
    x = torch.randn(size, dtype=torch.float64, requires_grad=True)
    y = layer(x)
    expected = F.conv2d(x, layer.weight, layer.bias, stride)
    torch.testing.assert_close(y, expected)
    upstream = torch.randn_like(y)
    inputs = [x, layer.weight, layer.bias]
    ours = torch.autograd.grad(y, inputs, upstream)
    theirs = torch.autograd.grad(expected, inputs, upstream)
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [*SIZES, (2, 64, 33, 31)])
def test_without_gradients_it_is_the_same_and_channels_last(
    size: tuple[int, ...], stride: int, bias: bool
) -> None:
    layer = Pointwise(size[1], 12, stride, bias=bias)
    x = torch.randn(size).contiguous(memory_format=torch.channels_last)
    expected = F.conv2d(x, layer.weight, layer.bias, stride)
    with torch.inference_mode():
        y = layer(x)
    assert not y.numel() or y.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(y, expected, rtol=1e-4, atol=1e-5)


def test_weights_changed_behind_autograds_back_count_at_the_next_call() -> None:
    layer = Pointwise(8, 4)
    x = torch.randn(1, 8, 3, 3).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        before = layer(x)
        layer.weight.data.mul_(2)
        torch.testing.assert_close(layer(x), 2 * before)


def test_a_wrong_number_of_channels_is_torchs_error() -> None:
    x = torch.randn(1, 6, 3, 3).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode(), pytest.raises(RuntimeError, match="channels"):
        Pointwise(8, 4)(x)


def test_an_exported_network_has_an_undilated_convolution() -> None:
    program = torch.export.export(Pointwise(8, 4), (torch.randn(2, 8, 5, 5),))
    nodes = [n for n in program.graph.nodes if "conv2d" in str(n.target)]
    assert len(nodes) == 1
    assert 2 not in (list(nodes[0].args[5]) if len(nodes[0].args) > 5 else [])
