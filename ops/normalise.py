"""Batch norm, shortcut and ReLU of a residual block, in one pass where that is possible."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ops.eager import hooked, plain, recorded
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
    if norm.training or x.device.type != "cpu" or x.dtype not in native.STORAGE:
        return False
    if type(norm) is not nn.BatchNorm2d or type(relu) is not nn.ReLU or hooked(norm, relu):
        return False
    if not norm.affine or norm.running_mean is None or norm.weight.dtype != x.dtype or recorded(x):
        return False
    if torch.is_grad_enabled() and (x.requires_grad or norm.weight.requires_grad):
        return False
    return (
        x.dim() == 4
        and x.shape[1] == norm.num_features
        and x.is_contiguous(memory_format=torch.channels_last)
        and (shortcut is None or _alike(shortcut, x))
        and plain(x, norm.running_mean, norm.running_var, norm.weight, norm.bias)
        and norm.running_var is not None
        and norm.bias is not None
        and norm.running_mean.numel() == norm.running_var.numel() == x.shape[1]
        and norm.weight.numel() == norm.bias.numel() == x.shape[1]
        and not x.is_neg()
        and native.missing() is None
    )


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
    statistics = (norm.running_mean, norm.running_var, norm.weight, norm.bias)
    tensors = (x, shortcut, *statistics, y)
    pointers = [0 if tensor is None else tensor.data_ptr() for tensor in tensors]
    native.call("normalise", plan, *pointers, norm.eps)
    return y
