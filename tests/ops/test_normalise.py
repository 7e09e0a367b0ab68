"""The one pass of batch norm, shortcut and ReLU is the modules', and hides nothing from anybody."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from ops.normalise import normalise
from ops.pointwise import Pointwise

SIZES = [(2, 16, 5, 3), (1, 7, 1, 1), (0, 8, 4, 4), (3, 130, 9, 9)]


def trained_norm(channels: int, dtype: torch.dtype = torch.float32) -> nn.BatchNorm2d:
    generator = torch.Generator().manual_seed(0)
    norm = nn.BatchNorm2d(channels)
    for tensor in (norm.weight.data, norm.bias.data, norm.running_mean):
        tensor.copy_(torch.randn(channels, generator=generator))
    norm.running_var.uniform_(0.5, 2, generator=generator)
    return norm.to(dtype).eval()


def image(*size: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    x = torch.randn(size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return x.to(dtype).contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("adds", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("size", SIZES)
def test_one_pass_is_the_modules(size: tuple[int, ...], dtype: torch.dtype, adds: bool) -> None:
    norm, relu = trained_norm(size[1], dtype), nn.ReLU()
    x, shortcut = image(*size, dtype=dtype), image(*size, seed=1, dtype=dtype) if adds else None
    exact = trained_norm(size[1], torch.float64)(x.double())
    expected = relu(exact + shortcut.double() if shortcut is not None else exact)
    with torch.inference_mode():
        result = normalise(x, norm, relu, shortcut)
        assert result.is_contiguous(memory_format=torch.channels_last)
        tolerance = 2e-2 if dtype == torch.bfloat16 else 1e-5
        torch.testing.assert_close(result.double(), expected, rtol=tolerance, atol=tolerance)
        assert normalise(x, norm, relu, shortcut, in_place=True).data_ptr() == x.data_ptr()
        torch.testing.assert_close(x, result, rtol=0, atol=0)


def test_nan_and_infinity_stay() -> None:
    x = image(1, 16, 1, 2)
    x[0, 3, 0, 0], x[0, 4, 0, 1] = float("nan"), float("inf")
    norm = trained_norm(16)
    with torch.inference_mode():
        result, expected = normalise(x, norm, nn.ReLU()), torch.relu(norm(x))
    torch.testing.assert_close(result, expected, equal_nan=True)


def test_statistics_changed_in_any_way_count_at_the_next_call() -> None:
    """Nothing is cached: not even a change behind autograd's back is missed."""
    norm, relu, x = trained_norm(16), nn.ReLU(), image(2, 16, 3, 3)
    with torch.inference_mode():
        before = normalise(x, norm, relu)
        norm.weight.data.mul_(2)
        norm.running_mean.data.add_(1)
        after = normalise(x, norm, relu)
        torch.testing.assert_close(after, relu(norm(x)))
    assert not torch.equal(before, after)


def test_hooks_gradients_and_training_get_the_modules() -> None:
    norm, relu, x = trained_norm(8), nn.ReLU(), image(2, 8, 3, 3)
    seen: list[str] = []
    handle = norm.register_forward_hook(lambda *_: seen.append("norm"))
    with torch.no_grad():
        normalise(x, norm, relu)
    handle.remove()
    assert seen == ["norm"]
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(normalise(x, norm, relu, x).sum(), x)
    (expected,) = torch.autograd.grad(relu(norm(x) + x).sum(), x)
    torch.testing.assert_close(gradient, expected)
    norm.train()
    before = norm.running_mean.clone()
    with torch.no_grad():
        normalise(x, norm, relu)
    assert not torch.equal(norm.running_mean, before)


def test_a_flop_counter_sees_the_convolution() -> None:
    layer, x = Pointwise(16, 32).eval(), image(1, 16, 4, 4)
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        layer(x)
    assert counter.get_total_flops() == 2 * 16 * 32 * 16
