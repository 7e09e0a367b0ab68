"""The custom operators behave in torch.library's machinery as torch's own do."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

import ops
from ops.involution import library

STEPS = ((2, 2), (1, 1), (1, 1))


def arguments(
    memory_format: torch.memory_format, device: str = "cpu"
) -> tuple[Tensor, Tensor, Tensor]:
    """x, kernel and output gradient, all requiring gradients."""
    x = torch.randn(2, 4, 5, 6, device=device).to(memory_format=memory_format)
    grad = torch.randn(2, 4, 3, 3, device=device).to(memory_format=memory_format)
    kernel = torch.randn(2, 2, 3, 3, 3, 3, device=device)
    return x.requires_grad_(), kernel.requires_grad_(), grad.requires_grad_()


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_opcheck(memory_format: torch.memory_format, backend: str) -> None:
    """Schema, autograd registration, fake tensors and their strides, dynamic shapes."""
    x, kernel, grad = arguments(memory_format, "cuda" if backend == "cuda" else "cpu")
    for operator, call in (
        (torch.ops.involution.aggregate, (x, kernel, *STEPS, backend)),
        (torch.ops.involution.grad_input, (grad, kernel, (5, 6), *STEPS, backend)),
        (torch.ops.involution.grad_kernel, (grad, x, 3, 2, *STEPS, backend)),
    ):
        torch.library.opcheck(operator.default, call)


def test_fake_tensors_are_checked_like_real_ones() -> None:
    with FakeTensorMode():
        x, kernel = torch.empty(2, 4, 5, 6), torch.empty(2, 2, 3, 3, 3, 3)
        assert ops.involution2d(x, kernel, stride=2).shape == (2, 4, 3, 3)
        with pytest.raises(ValueError, match="expected"):
            ops.involution2d(x, kernel)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_casts_forward_and_backward(dtype: torch.dtype) -> None:
    x, kernel, _ = arguments(torch.contiguous_format)
    with torch.autocast("cpu", dtype=dtype):
        y = ops.involution2d(x, kernel.to(dtype), stride=2)
    assert y.dtype == dtype
    (gradient,) = torch.autograd.grad(y.float().sum(), x)
    assert gradient.dtype == torch.float32


def test_autocast_leaves_double_alone() -> None:
    x, kernel, _ = (t.double() for t in arguments(torch.contiguous_format))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert ops.involution2d(x, kernel, stride=2).dtype == torch.float64


def test_no_graph_is_kept_without_gradients() -> None:
    x, kernel, _ = arguments(torch.contiguous_format)
    with torch.no_grad():
        assert ops.involution2d(x, kernel, stride=2).grad_fn is None
    with torch.inference_mode():
        assert ops.involution2d(x.detach(), kernel.detach(), stride=2).is_inference()


def test_only_the_wanted_gradient_is_computed() -> None:
    x, kernel, grad = arguments(torch.contiguous_format)
    calls = []

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            calls.append(func)
            return func(*args, **(kwargs or {}))

    y = ops.involution2d(x, kernel.detach(), stride=2)
    with Watch():
        torch.autograd.grad(y, x, grad.detach())
    assert library.grad_input in calls
    assert library.grad_kernel not in calls
