"""`ops.involution2d`: its arguments, defaults and errors."""

from __future__ import annotations

import oracle
import pytest
import torch
import torch.nn.functional as F

import ops


def test_padding_defaults_to_the_same_size() -> None:
    x, kernel = torch.randn(2, 4, 9, 7), torch.randn(2, 2, 5, 5, 9, 7)
    y = ops.involution2d(x, kernel, dilation=2)
    assert torch.equal(y, ops.involution2d(x, kernel, 1, 4, 2))


def test_pairs_are_rows_then_columns() -> None:
    x = torch.randn(1, 2, 9, 8, dtype=torch.float64)
    kernel = torch.randn(1, 1, 3, 3, 5, 3, dtype=torch.float64)
    window = ((2, 3), (2, 1), (2, 1))
    y = ops.involution2d(x, kernel, *window)
    torch.testing.assert_close(y, oracle.involution(x, kernel, *window))


def test_convolution_is_the_member_with_one_kernel_everywhere() -> None:
    """A group of one channel and the same weights at every pixel: depthwise convolution."""
    x, weight = torch.randn(2, 6, 9, 7), torch.randn(6, 1, 3, 3)
    kernel = weight.view(1, 6, 3, 3, 1, 1).expand(2, 6, 3, 3, 5, 4)
    y = ops.involution2d(x, kernel, stride=2)
    torch.testing.assert_close(y, F.conv2d(x, weight, stride=2, padding=1, groups=6))


def test_expanded_gradients_are_accepted() -> None:
    """The gradient of a sum is one number with strides of zero."""
    x = torch.randn(1, 4, 5, 5, requires_grad=True)
    kernel = torch.randn(1, 2, 3, 3, 5, 5, requires_grad=True)
    ops.involution2d(x, kernel).sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad[0, 0, 2, 2], sum_over_windows(kernel.detach()))


def sum_over_windows(kernel: torch.Tensor) -> torch.Tensor:
    """What the pixel (2, 2) of group 0 contributes to all outputs: one entry of each neighbour."""
    return torch.stack([kernel[0, 0, u, v, 3 - u, 3 - v] for u in range(3) for v in range(3)]).sum()


@pytest.mark.parametrize(
    ("x", "kernel", "settings", "message"),
    [
        ((4, 5, 5), (1, 2, 3, 3, 5, 5), {}, r"x must be \(B, C, H, W\), got shape \(4, 5, 5\)"),
        ((1, 4, 5, 5), (1, 2, 9, 5, 5), {}, r"kernel must be \(B, G, K, K, H_out, W_out\)"),
        ((1, 4, 5, 5), (1, 3, 3, 3, 5, 5), {}, "G = 3 groups do not divide C = 4 channels"),
        ((1, 4, 5, 5), (1, 2, 3, 3, 4, 5), {}, r"\(1, 2, 3, 3, 5, 5\) for x"),
        ((2, 4, 5, 5), (1, 2, 3, 3, 5, 5), {}, r"\(2, 2, 3, 3, 5, 5\) for x"),
        ((1, 4, 5, 5), (1, 2, 3, 1, 5, 5), {}, r"expected \(B, G, K, K, H_out, W_out\)"),
        ((1, 4, 5, 5), (1, 2, 3, 3, 5, 5), {"stride": 0}, "stride must be .* not 0"),
        ((1, 4, 5, 5), (1, 2, 3, 3, 5, 5), {"stride": (1, 2, 3)}, r"stride must be .*\(1, 2, 3\)"),
        ((1, 4, 5, 5), (1, 2, 3, 3, 5, 5), {"dilation": 0}, "dilation must be .* not 0"),
        ((1, 4, 5, 5), (1, 2, 3, 3, 5, 5), {"padding": -1}, "padding must be .* not -1"),
        ((1, 4, 2, 2), (1, 2, 3, 3, 1, 1), {"padding": 0}, "holds no 3 x 3 window"),
    ],
)
def test_errors_name_what_does_not_fit(
    x: tuple[int, ...], kernel: tuple[int, ...], settings: dict[str, int], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        ops.involution2d(torch.zeros(x), torch.zeros(kernel), **settings)


def test_types_that_differ_or_are_whole_numbers_are_errors() -> None:
    x, kernel = torch.zeros(1, 4, 5, 5), torch.zeros(1, 2, 3, 3, 5, 5)
    with pytest.raises(TypeError, match=r"x is torch.float32 .* kernel is torch.float64"):
        ops.involution2d(x, kernel.double())
    with pytest.raises(TypeError, match="must be floating point, not torch.int64"):
        ops.involution2d(x.long(), kernel.long())
