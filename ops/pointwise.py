"""The 1x1 convolution: by oneDNN on a CPU, on one thread as on several; on a GPU with its bias."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ops.eager import hooked, plain, recorded, symbolic
from ops.probe import probe

__all__ = ["Pointwise", "adds_bias_late", "over_pixels"]

_UNUSED_DILATION = 2
_SMALL = 20480
"""Numbers of a single image up to which torch never takes oneDNN (ATen, Convolution.cpp)."""


class Pointwise(nn.Conv2d):
    """A 1x1 `nn.Conv2d` that is as fast as oneDNN lets it be.

    With one thread and fewer than 16 images torch runs a 1x1 convolution as a matrix product by
    MKL, which takes twice oneDNN's time on processors that MKL has no AVX-512 code for. So without
    gradients and channels-last this calls oneDNN's matrix product; otherwise it asks for a
    dilation, which a window of one pixel has no use for but sends torch to oneDNN's convolution.
    On a GPU a bias is added by the matrix product; see `adds_bias_late`.

    Args:
        in_channels: Channels of x (B, C_in, H, W).
        out_channels: Channels of the result (B, C_out, ceil(H / stride), ceil(W / stride)).
        stride: Step between pixels.
        bias: Whether to add one.
    """

    def __init__(
        self, in_channels: int, out_channels: int, stride: int = 1, *, bias: bool = False
    ) -> None:
        super().__init__(in_channels, out_channels, 1, stride=stride, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        if symbolic(x):
            return super().forward(x)
        if self.bias is not None and self.stride == (1, 1) and adds_bias_late(x):
            return over_pixels(x, self.weight, self.bias)
        if x.device.type != "cpu" or recorded(x):
            return super().forward(x)
        if self._multiplies(x):
            return self._product(x)
        small = x.shape[0] < 2 and x.numel() <= _SMALL
        dilation = 1 if small else _UNUSED_DILATION
        return F.conv2d(x, self.weight, self.bias, self.stride, 0, dilation)

    def makes_its_own(self) -> bool:
        """Whether nobody but the caller sees what a call returns, who may then write into it."""
        return type(self) is Pointwise and not hooked(self)

    def _multiplies(self, x: Tensor) -> bool:
        weight = self.weight
        return (
            x.dtype == weight.dtype == torch.float32
            and x.dim() == 4
            and x.shape[1] == weight.shape[1]
            and x.numel() > 0
            and x.is_contiguous(memory_format=torch.channels_last)
            and not (torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad))
            and not torch.is_autocast_enabled("cpu")
            and plain(x.dtype, weight, self.bias)
            and _onednn_product() is not None
        )

    def _product(self, x: Tensor) -> Tensor:
        product = _onednn_product()
        assert product is not None
        step_y, step_x = self.stride
        pixels = x.permute(0, 2, 3, 1)
        if (step_y, step_x) != (1, 1):
            pixels = pixels[:, ::step_y, ::step_x].contiguous()
        rows = pixels.view(-1, x.shape[1])
        result = product(rows, self.weight.flatten(1), self.bias, "none", [], "")
        return result.view(*pixels.shape[:3], -1).permute(0, 3, 1, 2)


def adds_bias_late(x: Tensor) -> bool:
    """Whether torch's 1x1 convolution of x adds a bias in a second pass over its result.

    cuDNN does for channels-last images: for a span convolution that is one more pass over a kernel
    tensor, as long as the first.
    """
    return x.is_cuda and x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last)


def over_pixels(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """A 1x1 convolution as one matrix product over the pixels, which adds the bias as it writes.

    Args:
        x: (B, C_in, H, W), channels-last.
        weight: (C_out, C_in, 1, 1).
        bias: (C_out,).

    Returns:
        (B, C_out, H, W), channels-last.
    """
    pixels = x.permute(0, 2, 3, 1)
    rows = torch.addmm(bias, pixels.reshape(-1, x.shape[1]), weight.flatten(1).t())
    return rows.view(*pixels.shape[:3], -1).permute(0, 3, 1, 2)


@probe
def _onednn_product() -> Callable[..., Tensor] | None:
    """oneDNN's x w^T + b, which torch has for its own compiler; None where it does not run.

    It is tried, so ask only where nothing is recorded.
    """
    packet = getattr(torch.ops.mkldnn, "_linear_pointwise", None)
    if packet is None or not torch.backends.mkldnn.is_available():
        return None
    product: Callable[..., Tensor] = packet.default
    try:
        ones = torch.ones(2, 2, dtype=torch.float32, device="cpu")  # whatever the defaults are
        product(ones, ones, None, "none", [], "")
    except (RuntimeError, TypeError, NotImplementedError):
        return None
    return product
