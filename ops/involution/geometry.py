"""Shapes of one involution, and the errors that name what does not fit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

__all__ = [
    "Geometry",
    "Pair",
    "of_aggregate",
    "of_grad_input",
    "of_grad_kernel",
    "of_span",
    "pair",
    "require_parts",
]

Pair = tuple[int, int]
Ints = Sequence[int]

INPUT_AXES = "(B, C, H, W)"
OUTPUT_AXES = "(B, C, H_out, W_out)"
KERNEL_AXES = "(B, G, K, K, H_out, W_out)"
WEIGHT_AXES = "(G, K, K, C_features)"
FEATURES_AXES = "(B, C_features, H_out, W_out)"
BIAS_AXES = "(G, K, K)"


class Geometry(NamedTuple):
    """Everything about one involution but its numbers."""

    batch: int
    channels: int
    groups: int
    kernel_size: int
    input_size: Pair
    output_size: Pair
    stride: Pair
    padding: Pair
    dilation: Pair

    @property
    def input_shape(self) -> tuple[int, ...]:
        """(B, C, H, W)."""
        return (self.batch, self.channels, *self.input_size)

    @property
    def output_shape(self) -> tuple[int, ...]:
        """(B, C, H_out, W_out)."""
        return (self.batch, self.channels, *self.output_size)

    @property
    def kernel_shape(self) -> tuple[int, ...]:
        """(B, G, K, K, H_out, W_out)."""
        return (self.batch, self.groups, self.kernel_size, self.kernel_size, *self.output_size)


def pair(name: str, value: int | Ints, least: int) -> Pair:
    """Turns an int or two ints (rows, columns) into a pair.

    Raises:
        ValueError: If it is neither, or below `least`.
    """
    both = (value, value) if isinstance(value, int) else _ints(value)
    if len(both) != 2 or both[0] < least or both[1] < least:
        raise ValueError(
            f"involution: {name} must be an int or two ints of at least {least}, not {value!r}"
        )
    return both[0], both[1]


def _ints(value: object) -> tuple[int, ...]:
    """Ints that stand one after the other; nothing for anything else."""
    if not isinstance(value, Sequence) or not all(isinstance(one, int) for one in value):
        return ()
    return tuple(value)


def of_aggregate(
    x: Tensor, kernel: Tensor, stride: Ints, padding: Ints, dilation: Ints
) -> Geometry:
    """Geometry of the output's sum over `x` and `kernel`.

    Raises:
        ValueError: If the shapes do not fit each other.
        TypeError: If dtypes or devices differ or are not floating point.
    """
    _require_dimensions("x", x, INPUT_AXES)
    _require_dimensions("kernel", kernel, KERNEL_AXES)
    _require_alike("x", x, "kernel", kernel)
    groups, size = kernel.shape[1], kernel.shape[2]
    geometry = _resolve(x, groups, size, x.shape[2:], stride, padding, dilation)
    _require_shape("kernel", kernel, KERNEL_AXES, geometry.kernel_shape, geometry)
    return geometry


def of_grad_input(
    grad_output: Tensor,
    kernel: Tensor,
    input_size: Ints,
    stride: Ints,
    padding: Ints,
    dilation: Ints,
) -> Geometry:
    """Geometry of the gradient of an input of `input_size` (H, W); raises as `of_aggregate`."""
    _require_dimensions("grad_output", grad_output, OUTPUT_AXES)
    _require_dimensions("kernel", kernel, KERNEL_AXES)
    _require_alike("grad_output", grad_output, "kernel", kernel)
    groups, size = kernel.shape[1], kernel.shape[2]
    geometry = _resolve(grad_output, groups, size, input_size, stride, padding, dilation)
    _require_shape("grad_output", grad_output, OUTPUT_AXES, geometry.output_shape, geometry)
    _require_shape("kernel", kernel, KERNEL_AXES, geometry.kernel_shape, geometry)
    return geometry


def of_grad_kernel(
    grad_output: Tensor,
    x: Tensor,
    kernel_size: int,
    groups: int,
    stride: Ints,
    padding: Ints,
    dilation: Ints,
) -> Geometry:
    """Geometry of the gradient of a kernel of `groups` G and size K; raises as `of_aggregate`."""
    _require_dimensions("grad_output", grad_output, OUTPUT_AXES)
    _require_dimensions("x", x, INPUT_AXES)
    _require_alike("grad_output", grad_output, "x", x)
    geometry = _resolve(x, groups, kernel_size, x.shape[2:], stride, padding, dilation)
    _require_shape("grad_output", grad_output, OUTPUT_AXES, geometry.output_shape, geometry)
    return geometry


def of_span(x: Tensor, weight: Tensor, stride: Ints, padding: Ints, dilation: Ints) -> Geometry:
    """Geometry of an involution whose kernel `weight` (G, K, K, C_features) makes from features.

    Raises as `of_aggregate`.
    """
    _require_dimensions("x", x, INPUT_AXES)
    _require_dimensions("weight", weight, WEIGHT_AXES)
    _require_alike("x", x, "weight", weight)
    groups, size = weight.shape[0], weight.shape[1]
    geometry = _resolve(x, groups, size, x.shape[2:], stride, padding, dilation)
    square = (groups, size, size, weight.shape[3])
    _require_shape("weight", weight, WEIGHT_AXES, square, geometry)
    return geometry


def require_parts(
    geometry: Geometry, x: Tensor, *parts: tuple[str, Tensor | None, str, tuple[int, ...]]
) -> None:
    """Checks what goes into an operator beside x, before anything reads it through a pointer.

    Args:
        geometry: Of the involution.
        x: Whose type and device all must have.
        parts: Name, tensor (None where it may be missing), axes in words, and sizes.

    Raises:
        ValueError: If a shape does not fit.
        TypeError: If a dtype or device differs from x's.
    """
    for name, tensor, axes, sizes in parts:
        if tensor is not None:
            _require_dimensions(name, tensor, axes)
            _require_shape(name, tensor, axes, sizes, geometry)
            _require_alike(name, tensor, "x", x)


def _resolve(
    image: Tensor,
    groups: int,
    kernel_size: int,
    input_size: Ints,
    stride: Ints,
    padding: Ints,
    dilation: Ints,
) -> Geometry:
    batch, channels = image.shape[0], image.shape[1]
    if groups < 1 or channels % groups:
        raise ValueError(
            f"involution: G = {groups} groups do not divide C = {channels} channels; "
            f"the kernel is {KERNEL_AXES}, x is {INPUT_AXES}"
        )
    (height, width), (step_y, step_x) = input_size, stride
    (pad_y, pad_x), (dilation_y, dilation_x) = padding, dilation
    if kernel_size < 1 or min(step_y, step_x, dilation_y, dilation_x) < 1 or min(pad_y, pad_x) < 0:
        raise ValueError(
            f"involution: kernel size {kernel_size}, stride {stride} and dilation {dilation} "
            f"must be at least 1, padding {padding} at least 0"
        )
    rows = (height + 2 * pad_y - dilation_y * (kernel_size - 1) - 1) // step_y + 1
    columns = (width + 2 * pad_x - dilation_x * (kernel_size - 1) - 1) // step_x + 1
    if rows < 1 or columns < 1:
        raise ValueError(
            f"involution: an input of {height} x {width} with padding {tuple(padding)} holds no "
            f"{kernel_size} x {kernel_size} window of dilation {tuple(dilation)}"
        )
    return Geometry(
        batch,
        channels,
        groups,
        kernel_size,
        (height, width),
        (rows, columns),
        (step_y, step_x),
        (pad_y, pad_x),
        (dilation_y, dilation_x),
    )


def _require_dimensions(name: str, tensor: Tensor, axes: str) -> None:
    if tensor.dim() != axes.count(",") + 1:
        raise ValueError(f"involution: {name} must be {axes}, got shape {tuple(tensor.shape)}")


def _require_alike(name: str, tensor: Tensor, other_name: str, other: Tensor) -> None:
    if not tensor.is_floating_point():
        raise TypeError(f"involution: {name} must be floating point, not {tensor.dtype}")
    if tensor.dtype != other.dtype or tensor.device != other.device:
        raise TypeError(
            f"involution: {name} is {tensor.dtype} on {tensor.device} but {other_name} is "
            f"{other.dtype} on {other.device}; convert one of them"
        )


def _require_shape(
    name: str, tensor: Tensor, axes: str, expected: tuple[int, ...], geometry: Geometry
) -> None:
    if tensor.shape != expected:
        raise ValueError(
            f"involution: {name} has shape {tuple(tensor.shape)}, expected {axes} = {expected} for "
            f"x {INPUT_AXES} = {geometry.input_shape}, stride {geometry.stride}, "
            f"padding {geometry.padding}, dilation {geometry.dilation}"
        )
