"""The bare CUDA operators: from a geometry and tensors to what to launch, and the launch.

A plan is a `Launch` and the `BareProblem` it gets; it needs no GPU. The kernels are in `kernels/`.
"""

from __future__ import annotations

import ctypes
import functools

import torch
from torch import Tensor

from ops.involution import layout
from ops.involution.backends.cuda import columns as cuda_columns
from ops.involution.backends.cuda import launch as cuda_launch
from ops.involution.backends.cuda.columns import STORAGE, Strides, parts
from ops.involution.backends.cuda.launch import PROCESSORS, Launch, processors
from ops.involution.geometry import Geometry

__all__ = [
    "STORAGE",
    "BareProblem",
    "Plan",
    "aggregate",
    "grad_input",
    "grad_kernel",
    "plan",
    "released",
]

THREADS = 256
"""Of a block of the kernels for any strides: a multiple of a warp that fits every SM four times."""
MOST_BLOCKS = 65535
"""Along y and z."""

_FIELDS = (
    *("batch", "channels", "groups", "kernel_size", "height", "width", "rows", "columns"),
    *("stride_y", "stride_x", "padding_y", "padding_x", "dilation_y", "dilation_x"),
)


class BareProblem(ctypes.Structure):
    """`BareProblem` of kernels/problem.h."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in _FIELDS),
        ("x", ctypes.c_int64 * 4),
        ("y", ctypes.c_int64 * 4),
        ("kernel", ctypes.c_int64 * 6),
        ("strip", ctypes.c_int64),
        ("native", ctypes.c_int64),
    )


Plan = tuple[Launch, BareProblem]


def aggregate(x: Tensor, kernel: Tensor, geometry: Geometry) -> Tensor:
    """y (B, C, H_out, W_out): sums over a window, in fp32."""
    y = layout.empty_image(geometry.output_shape, x)
    if y.numel():
        native = layout.is_channels_last(x)
        x, kernel = _image(x, native), _kernel(kernel, native)
        _run("aggregate", geometry, (x, y, kernel), (x, kernel, y))
    return y


def grad_input(grad_output: Tensor, kernel: Tensor, geometry: Geometry) -> Tensor:
    """Gradient of x (B, C, H, W): each warp has all of its own pixels, so nothing is atomic."""
    result = layout.empty_image(geometry.input_shape, grad_output)
    if result.numel():
        native = layout.is_channels_last(grad_output)
        grad_output, kernel = _image(grad_output, native), _kernel(kernel, native)
        _run("grad_input", geometry, (result, grad_output, kernel), (grad_output, kernel, result))
    return result


def grad_kernel(grad_output: Tensor, x: Tensor, geometry: Geometry) -> Tensor:
    """Gradient of the kernel (B, G, K, K, H_out, W_out): sums over the channels of a group."""
    result = layout.empty_kernel(geometry, grad_output)
    if not x.numel():
        return result.zero_()
    native = layout.is_channels_last(grad_output)
    grad_output, x = _image(grad_output, native), _image(x, native)
    _run("grad_kernel", geometry, (x, grad_output, result), (grad_output, x, result))
    return result


def released(x: Tensor, kernel: Tensor, geometry: Geometry) -> Tensor:
    """y by the algorithm of the paper's released CUDA kernel, for comparison: fp32, NCHW.

    It is compiled for every shape anew, batch and image size included.
    """
    x, kernel = x.contiguous(), kernel.contiguous()
    y = x.new_empty(geometry.output_shape)
    sizes = dict(zip(_FIELDS, _numbers(geometry), strict=True))
    defines = tuple((name.upper(), str(value)) for name, value in sizes.items())
    grid = min(parts(y.numel(), 1024), 2**31 - 1), 1, 1
    strides = x.stride(), y.stride(), kernel.stride()
    problem = BareProblem(*_numbers(geometry), *strides, 0, False)
    launch = Launch("released.cu", "released", defines, grid, 1024, 0)
    cuda_launch.run(launch, problem, (x, kernel, y))
    return y


@functools.lru_cache(4096)
def plan(
    operator: str,
    geometry: Geometry,
    dtype: torch.dtype,
    x: Strides,
    y: Strides,
    kernel: Strides,
    aligned: bool,
    processors: int = PROCESSORS,
) -> Plan:
    """How `operator` is launched.

    Args:
        operator: "aggregate", "grad_input" or "grad_kernel".
        geometry: Of the involution.
        dtype: Of every tensor.
        x: Strides of the input, or its gradient: (B, C, H, W).
        y: Strides of the output, or its gradient: (B, C, H_out, W_out).
        kernel: Strides of the kernel, or its gradient: (B, G, K, K, H_out, W_out).
        aligned: Whether the first number of both images is at a multiple of 16 bytes.
        processors: SMs of the GPU.
    """
    native, strip = kernel[3] == 1, 0
    if cuda_columns.fits(operator, geometry, x, y, kernel):
        steps = (step for image in (x, y) for step in (image[0], *image[2:]))
        whole = aligned and not any(step % 8 for step in steps)
        kind = "band" if dtype.itemsize == 2 and native and whole else "fma"
        launch, strip = cuda_columns.launch(operator, kind, geometry, dtype, kernel, processors)
    else:
        launch = _any_strides(operator, geometry, dtype, native)
    return launch, BareProblem(*_numbers(geometry), x, y, kernel, strip, native)


def _run(
    operator: str,
    geometry: Geometry,
    places: tuple[Tensor, Tensor, Tensor],
    arguments: tuple[Tensor, Tensor, Tensor],
) -> None:
    x, y, kernel = places
    aligned = not (x.data_ptr() | y.data_ptr()) % 16
    strides = x.stride(), y.stride(), kernel.stride()
    launch, problem = plan(operator, geometry, x.dtype, *strides, aligned, processors(x.device))
    cuda_launch.run(launch, problem, arguments)


def _image(image: Tensor, native: bool) -> Tensor:
    """`image`, copied unless its channels (native) or its columns lie next to each other."""
    if image.stride(1 if native else 3) == 1:
        return image
    return image.contiguous(
        memory_format=torch.channels_last if native else torch.contiguous_format
    )


def _kernel(kernel: Tensor, native: bool) -> Tensor:
    """`kernel`, copied unless its K K entries (native) or its columns lie next to each other."""
    size, strides = kernel.shape[2], kernel.stride()
    if strides[3 if native else 5] == 1 and strides[2] == size * strides[3]:
        return kernel
    if not native:
        return kernel.contiguous()
    return kernel.permute(0, 4, 5, 1, 2, 3).contiguous().permute(0, 3, 4, 5, 1, 2)


def _any_strides(
    operator: str, geometry: Geometry, dtype: torch.dtype, channels_last: bool
) -> Launch:
    size, entries = geometry.output_size, geometry.channels
    if operator == "grad_input":
        size = geometry.input_size
    if operator == "grad_kernel":
        entries = geometry.groups * geometry.kernel_size**2
    fast, slow = (size[1] * entries, size[0]) if channels_last else (size[0] * size[1], entries)
    block = min(THREADS, 32 * parts(fast, 32))
    grid = parts(fast, block), min(slow, MOST_BLOCKS), min(geometry.batch, MOST_BLOCKS)
    defines = (("STORAGE", STORAGE[dtype]),)
    return Launch("any_strides.cu", f"{operator}_any", defines, grid, block, 0)


def _numbers(geometry: Geometry) -> tuple[int, ...]:
    return (
        *(geometry.batch, geometry.channels, geometry.groups, geometry.kernel_size),
        *(*geometry.input_size, *geometry.output_size),
        *(*geometry.stride, *geometry.padding, *geometry.dilation),
    )
