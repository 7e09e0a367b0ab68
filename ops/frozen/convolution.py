"""A convolution with its batch norm, shortcut and ReLU, by oneDNN in one call where that runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ops.eager import recorded
from ops.probe import probe

__all__ = ["FrozenConvolution"]

_ACTIVATIONS: dict[str, tuple[Callable[[Tensor], Tensor], str, tuple[float, ...]]] = {
    "": (lambda x: x, "none", ()),
    "relu": (F.relu, "relu", ()),
    "relu6": (F.relu6, "hardtanh", (0.0, 6.0)),
}
"""By name: the function, and oneDNN's word and numbers for it."""

_SHAPES = 8
"""Sizes of images that packed weights are kept for: oneDNN packs a window's weights by them."""


class _Mkldnn(NamedTuple):
    """Torch's entries to oneDNN, made for its own compiler."""

    product: Any
    convolution: Any
    pack_product: Any
    pack_convolution: Any


class FrozenConvolution(nn.Module):
    """act(conv(x) + shortcut) of fixed weights.

    On a CPU in float32, channels-last and without gradients, oneDNN runs it in one call: bias,
    ReLU and shortcut in its epilogue, the weights packed at the first call. Elsewhere it is torch's
    convolution, an addition and the function.

    Args:
        weight: (C_out, C_in / groups, K_y, K_x), a batch norm folded in.
        bias: (C_out,), or None.
        like: Whose stride, padding, dilation and groups it has.
        activation: Empty, ``relu`` or ``relu6``.
    """

    weight: Tensor
    bias: Tensor | None

    def __init__(
        self, weight: Tensor, bias: Tensor | None, like: nn.Conv2d, activation: str = ""
    ) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.register_buffer("bias", bias)
        self.padding = tuple(int(one) for one in like.padding)
        self.stride, self.dilation = like.stride, like.dilation
        self.groups, self.activation = like.groups, activation
        pixel = tuple(weight.shape[2:]) == (1, 1) and self.padding == (0, 0)
        self._pointwise = pixel and self.groups == 1
        self._packed: dict[Any, Tensor] = {}
        self.training = False

    def forward(self, x: Tensor, shortcut: Tensor | None = None) -> Tensor:
        """x (B, C_in, H, W); shortcut like the result, (B, C_out, H_out, W_out)."""
        if self._runs_onednn(x, shortcut):
            run = self._product if self._pointwise else self._convolution
            return run(x, shortcut)
        y = F.conv2d(
            x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups
        )
        if shortcut is not None:
            y = y + shortcut
        return _ACTIVATIONS[self.activation][0](y)

    def _runs_onednn(self, x: Tensor, shortcut: Tensor | None) -> bool:
        weight = self.weight
        return (
            x.device.type == "cpu"
            and x.dtype is torch.float32
            and weight.dtype is torch.float32
            and weight.device.type == "cpu"
            and x.dim() == 4
            and x.shape[1] == weight.shape[1] * self.groups
            and x.numel() > 0
            and x.is_contiguous(memory_format=torch.channels_last)
            and not x.is_neg()
            and not (torch.is_grad_enabled() and x.requires_grad)
            and not torch.is_autocast_enabled("cpu")
            and not recorded(x)
            and (shortcut is None or self._adds(x, shortcut))
            and _mkldnn() is not None
        )

    def _adds(self, x: Tensor, shortcut: Tensor) -> bool:
        return (
            type(shortcut) is Tensor
            and shortcut.dtype is torch.float32
            and shortcut.device == x.device
            and tuple(shortcut.shape) == self._output_shape(x)
            and shortcut.is_contiguous(memory_format=torch.channels_last)
            and not shortcut.is_neg()
            and not (torch.is_grad_enabled() and shortcut.requires_grad)
        )

    def _output_shape(self, x: Tensor) -> tuple[int, ...]:
        kernel = self.weight.shape[2:]
        sizes = zip(x.shape[2:], self.padding, self.dilation, kernel, self.stride, strict=True)
        spatial = ((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, p, d, k, s in sizes)
        return (x.shape[0], self.weight.shape[0], *spatial)

    def _product(self, x: Tensor, shortcut: Tensor | None) -> Tensor:
        """A 1x1 convolution as a matrix product over the pixels."""
        entries = _mkldnn()
        assert entries is not None
        pixels = x.permute(0, 2, 3, 1)
        if self.stride != (1, 1):
            pixels = pixels[:, :: self.stride[0], :: self.stride[1]].contiguous()
        rows = pixels.view(-1, x.shape[1])
        weight = self._weights(None, lambda: entries.pack_product(self.weight.flatten(1), None))
        function, word, numbers = _ACTIVATIONS[self.activation]
        y: Tensor
        if shortcut is None:
            y = entries.product(rows, weight, self.bias, word, numbers, "")
        else:
            other = shortcut.permute(0, 2, 3, 1).view(rows.shape[0], -1)
            y = entries.product.binary(rows, other, weight, self.bias, "add")
            if self.activation:
                y = y.relu_() if self.activation == "relu" else function(y)
        return y.view(*pixels.shape[:3], -1).permute(0, 3, 1, 2)

    def _convolution(self, x: Tensor, shortcut: Tensor | None) -> Tensor:
        entries = _mkldnn()
        assert entries is not None
        window = (list(self.padding), list(self.stride), list(self.dilation), self.groups)
        shape = list(x.shape)
        weight = self._weights(
            tuple(shape), lambda: entries.pack_convolution(self.weight, *window, shape)
        )
        _, word, numbers = _ACTIVATIONS[self.activation]
        if shortcut is None:
            y: Tensor = entries.convolution(
                x, weight, self.bias, *window, word, list(numbers), "" if numbers else None
            )
            return y
        rest = ("add", None, word if self.activation else None, list(numbers), None)
        added: Tensor = entries.convolution.binary(x, shortcut, weight, self.bias, *window, *rest)
        return added

    def _weights(self, shape: tuple[int, ...] | None, pack: Callable[[], Tensor]) -> Tensor:
        """Packed weights; packed again for images of another size, or once they were changed."""
        version = 0 if self.weight.is_inference() else self.weight._version
        key = (shape, self.weight.data_ptr(), version)
        if key not in self._packed:
            if len(self._packed) >= _SHAPES:
                self._packed.clear()
            with torch.no_grad():
                self._packed[key] = pack()
        return self._packed[key]

    def __getstate__(self) -> dict[str, Any]:  # pickles, and copies: packed weights are neither
        return self.__dict__ | {"_packed": {}}

    def extra_repr(self) -> str:
        out, inner, *size = self.weight.shape
        return f"{inner * self.groups}, {out}, {tuple(size)}, {self.stride}, {self.activation!r}"


@probe
def _mkldnn() -> _Mkldnn | None:
    """Torch's entries to oneDNN; None where this torch lacks one, or it does not run.

    They are tried, so ask only where nothing is recorded.
    """
    names = (
        *("_linear_pointwise", "_convolution_pointwise"),
        *("_reorder_linear_weight", "_reorder_convolution_weight"),
    )
    found = [getattr(torch.ops.mkldnn, name, None) for name in names]
    if None in found or not torch.backends.mkldnn.is_available():
        return None
    entries = _Mkldnn(*found)
    try:
        ones = torch.ones(2, 2, dtype=torch.float32, device="cpu")  # whatever the defaults are
        packed = entries.pack_product(ones, None)
        entries.product(ones, packed, None, "none", [], "")
        entries.product.binary(ones, ones, packed, None, "add")
    except (RuntimeError, TypeError, NotImplementedError):
        return None
    return entries
