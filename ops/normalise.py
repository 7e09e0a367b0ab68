"""Batch norm, shortcut and ReLU of a residual block, in one pass where that is possible."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.profiler import record_function

from ops.eager import hooked, plain, profiled, recorded, symbolic
from ops.involution.backends.native import library as native

__all__ = ["normalise"]


def normalise(
    x: Tensor,
    norm: nn.BatchNorm2d,
    relu: nn.Module,
    shortcut: Tensor | None = None,
    *,
    in_place: bool = False,
) -> Tensor:
    """relu(norm(x) + shortcut), (B, C, H, W) like x.

    On a CPU, in eval mode, without gradients and channels-last this is one pass of the native
    kernels; otherwise, or where somebody looks at the modules, it calls them.

    Args:
        x: What to normalise.
        norm: The batch norm.
        relu: An `nn.ReLU`; anything else is called as it is.
        shortcut: What is added before the ReLU; of x's shape.
        in_place: Whether the result may overwrite x.
    """
    if _runs_native(x, norm, relu, shortcut):
        return _native(x, norm, shortcut, x if in_place else torch.empty_like(x))
    y = norm(x)
    if shortcut is not None:
        y = y + shortcut
    elif hooked(norm):  # who sees the norm's result must not find a ReLU's in it
        y = y.clone()
    result: Tensor = relu(y)
    return result


def _runs_native(x: Tensor, norm: nn.BatchNorm2d, relu: nn.Module, shortcut: Tensor | None) -> bool:
    if norm.training or symbolic(x) or x.device.type != "cpu" or x.dtype not in native.STORAGE:
        return False
    if type(norm) is not nn.BatchNorm2d or type(relu) is not nn.ReLU or hooked(norm, relu):
        return False
    if recorded(x) or x.is_neg():
        return False
    vectors = _vectors(norm)
    if torch.is_grad_enabled() and (x.requires_grad or any(v.requires_grad for v in vectors)):
        return False
    return (
        x.dim() == 4
        and len(vectors) == 4
        and x.is_contiguous(memory_format=torch.channels_last)
        and (shortcut is None or _alike(shortcut, x))
        and plain(x.dtype, *vectors)
        and all(len(vector) == x.shape[1] for vector in vectors)
        and native.missing() is None
    )


def _vectors(norm: nn.BatchNorm2d) -> list[Tensor]:
    """Running mean and variance, weight and bias; fewer where the norm has not all of them."""
    buffers, parameters = norm._buffers, norm._parameters  # an attribute takes five times as long
    found = (
        *(buffers.get("running_mean"), buffers.get("running_var")),
        *(parameters.get("weight"), parameters.get("bias")),
    )
    return [vector for vector in found if vector is not None]


def _alike(shortcut: Tensor, x: Tensor) -> bool:
    return (
        type(shortcut) is Tensor
        and shortcut.shape == x.shape
        and shortcut.dtype == x.dtype
        and shortcut.device == x.device
        and not shortcut.is_neg()
        and shortcut.is_contiguous(memory_format=torch.channels_last)
        and not (torch.is_grad_enabled() and shortcut.requires_grad)
    )


def _native(x: Tensor, norm: nn.BatchNorm2d, shortcut: Tensor | None, y: Tensor) -> Tensor:
    plan = native.rows(x.dtype, x.numel() // max(1, x.shape[1]), x.shape[1], True)
    tensors = (x, shortcut, *_vectors(norm), y)
    pointers = [0 if tensor is None else tensor.data_ptr() for tensor in tensors]
    if profiled():
        with record_function("involution::normalise"):
            native.call("normalise", plan, *pointers, norm.eps)
    else:
        native.call("normalise", plan, *pointers, norm.eps)
    return y
