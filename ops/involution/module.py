"""`Involution2d`: the operator with its kernel generator."""

from __future__ import annotations

from torch import Tensor, nn

from ops.hyperparameter import odd_size, positive_int
from ops.involution import fusion
from ops.involution.backends import find
from ops.involution.functional import involution2d
from ops.involution.generators import GENERATORS, BottleneckGenerator

__all__ = ["Involution2d", "involution_problem"]


class Involution2d(nn.Module):
    """Involution with its kernel generator (Li et al., CVPR 2021, section 3).

    (B, C, H, W) -> (B, C, ceil(H / stride), ceil(W / stride)).

    Args:
        channels: C, in and out.
        kernel_size: K, odd.
        stride: Of the window; the generator pools by it.
        group_channels: C / G, the channels that share a kernel; must divide C.
        reduction: r; the bottleneck generator has C // r channels inside.
        dilation: Step between window positions.
        generator: `bottleneck` (the paper's), `linear`, or `attention` (query-key pairs).
        backend: A name of `ops.backends()`, or None for the first that can run.

    Raises:
        ValueError: For values out of range or that do not fit each other.
    """

    def __init__(
        self,
        channels: int,
        kernel_size: int = 7,
        stride: int = 1,
        group_channels: int = 16,
        reduction: int = 4,
        dilation: int = 1,
        generator: str = "bottleneck",
        backend: str | None = None,
    ) -> None:
        super().__init__()
        if backend is not None:
            find(backend)
        for name, value in (("channels", channels), ("stride", stride), ("dilation", dilation)):
            _require(name, value, positive_int(value))
        _require("kernel_size", kernel_size, odd_size(kernel_size))
        if not isinstance(generator, str) or generator not in GENERATORS:
            known = ", ".join(GENERATORS)
            raise ValueError(f"Involution2d: generator = {generator!r} must be one of {known}")
        reason = involution_problem(channels, group_channels, reduction, generator)
        if reason is not None:
            raise ValueError(f"Involution2d: {reason}")
        self.channels, self.kernel_size, self.stride = channels, kernel_size, stride
        self.group_channels, self.dilation, self.backend = group_channels, dilation, backend
        self.generator = GENERATORS[generator](
            channels, kernel_size, stride, channels // group_channels, reduction, dilation
        )

    def forward(self, x: Tensor) -> Tensor:
        generator = self.generator
        if isinstance(generator, BottleneckGenerator):
            parts = fusion.parts(generator, x, self.backend)
            y = None if parts is None else fusion.run(generator, parts, x, self._window())
            if y is not None:
                return y
        return self.aggregate(x, generator(x))

    def aggregate(self, x: Tensor, kernel: Tensor) -> Tensor:
        """`involution2d` with this module's stride, dilation and back end."""
        return involution2d(x, kernel, self.stride, None, self.dilation, self.backend)

    def _window(self) -> fusion.Window:
        stride, dilation = self.stride, self.dilation
        padding = (self.kernel_size - 1) // 2 * dilation
        return (stride, stride), (padding, padding), (dilation, dilation), self.backend

    def extra_repr(self) -> str:
        return (
            f"{self.channels}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"group_channels={self.group_channels}, dilation={self.dilation}"
        )


def involution_problem(
    channels: int, group_channels: int, reduction: int, generator: str
) -> str | None:
    """Says why these settings do not fit a width of `channels`, or returns None."""
    reason = positive_int(group_channels)
    if reason is not None:
        return f"group_channels = {group_channels!r} {reason}"
    if channels % group_channels:
        return f"group_channels = {group_channels} does not divide channels = {channels}"
    if generator != "bottleneck":
        return None
    reason = positive_int(reduction)
    if reason is not None:
        return f"reduction = {reduction!r} {reason}"
    if reduction > channels:
        return f"reduction = {reduction} leaves no channel of channels = {channels}"
    return None


def _require(name: str, value: object, reason: str | None) -> None:
    if reason is not None:
        raise ValueError(f"Involution2d: {name} = {value!r} {reason}")
