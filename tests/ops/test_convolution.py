"""The convolutions of the registry are torch's own."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

import ops


@pytest.mark.parametrize(("name", "groups"), [("convolution", 1), ("depthwise_convolution", 16)])
def test_is_a_padded_convolution_without_bias(name: str, groups: int) -> None:
    module, x = (
        ops.get(name).make(16, stride=2, kernel_size=5, dilation=2),
        torch.randn(1, 16, 9, 8),
    )
    (weight,) = module.parameters()
    expected = F.conv2d(x, weight, stride=2, padding=4, dilation=2, groups=groups)
    assert torch.equal(module(x), expected)


def test_costs_at_a_size_worked_by_hand() -> None:
    shape = (1, 64, 56, 56)
    assert ops.get("convolution").macs(shape) == 56 * 56 * 64 * 64 * 9
    assert ops.get("depthwise_convolution").macs(shape, stride=2) == 28 * 28 * 64 * 49
    assert ops.get("convolution").params(64) == 64 * 64 * 9
    assert ops.get("depthwise_convolution").params(64) == 64 * 49
