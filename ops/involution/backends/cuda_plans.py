"""The bare CUDA operators: from a geometry and tensors to what to launch, and the launch.

A plan is a `Launch` and the `Problem` it gets; it needs no GPU. The kernels are in `cuda/`.
"""

from __future__ import annotations

import ctypes
import functools

import torch
from torch import Tensor

from ops.involution import layout
from ops.involution.backends import cuda_launch
from ops.involution.backends.cuda_launch import Launch
from ops.involution.geometry import Geometry

__all__ = [
    "STORAGE",
    "Plan",
    "Problem",
    "aggregate",
    "grad_input",
    "grad_kernel",
    "plan",
    "released",
]

STORAGE = {torch.float32: "float", torch.float16: "float16", torch.bfloat16: "bfloat16"}
"""Storage type of each dtype that the kernels take."""

THREADS = 256
MOST_BLOCKS = 65535
"""Along y and z."""

SIZES = (3, 5, 7)
STRIDES = (1, 2)
"""Windows and strides, dilation 1, that have kernels of their own."""
WARPS, PIXELS = 4, 8
"""As in cuda/tasks.h."""
ENOUGH_WARPS = 8192
"""Two to three times what a large GPU has at once; unmeasured, as is the next."""
LEAST_STRIP = 7
"""Rows of a warp below which what two strips read twice would cost more than more warps gain."""

_FIELDS = (
    *("batch", "channels", "groups", "kernel_size", "height", "width", "rows", "columns"),
    *("stride_y", "stride_x", "padding_y", "padding_x", "dilation_y", "dilation_x"),
)


class Problem(ctypes.Structure):
    """`Problem` of cuda/problem.h."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in _FIELDS),
        ("x", ctypes.c_int64 * 4),
        ("y", ctypes.c_int64 * 4),
        ("kernel", ctypes.c_int64 * 6),
        ("strip", ctypes.c_int64),
        ("native", ctypes.c_int64),
    )


Plan = tuple[Launch, Problem]
Strides = tuple[int, ...]


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
    grid = min(_parts(y.numel(), 1024), 2**31 - 1), 1, 1
    strides = x.stride(), y.stride(), kernel.stride()
    problem = Problem(*_numbers(geometry), *strides, 0, False)
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
    """
    native, strip = kernel[3] == 1, 0
    strides = (stride for image in (x, y) for stride in (image[0], *image[2:]))
    halves = dtype.itemsize == 2 and native and aligned and not any(n % 8 for n in strides)
    if _fits(operator, geometry, x, y, kernel):
        launch, strip = (_band if halves else _fma)(operator, geometry, dtype, native)
    else:
        launch = _any_strides(operator, geometry, dtype, native)
    return launch, Problem(*_numbers(geometry), x, y, kernel, strip, native)


def _run(
    operator: str,
    geometry: Geometry,
    places: tuple[Tensor, Tensor, Tensor],
    arguments: tuple[Tensor, Tensor, Tensor],
) -> None:
    x, y, kernel = places
    aligned = not (x.data_ptr() | y.data_ptr()) % 16
    launch, problem = plan(
        operator, geometry, x.dtype, x.stride(), y.stride(), kernel.stride(), aligned
    )
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


def _fits(operator: str, geometry: Geometry, x: Strides, y: Strides, kernel: Strides) -> bool:
    """Whether the kernels on cuda/tasks.h take it."""
    size, stride, group_channels = (
        geometry.kernel_size,
        geometry.stride,
        geometry.channels // geometry.groups,
    )
    innermost = x[1] == y[1] == kernel[3] == 1 or x[3] == y[3] == kernel[5] == 1
    return (
        size in SIZES
        and stride[0] == stride[1]
        and stride[0] in STRIDES
        and geometry.dilation == (1, 1)
        and group_channels % 8 == 0
        and (operator != "grad_kernel" or group_channels <= 16)
        and innermost
        and kernel[2] == size * kernel[3]
        and _reach(geometry, x, y, kernel) < 2**31
    )


def _reach(geometry: Geometry, x: Strides, y: Strides, kernel: Strides) -> int:
    """Numbers from the first to the last that the kernels on cuda/fma.h offset in 32 bits."""
    width = max(geometry.input_size[1], geometry.output_size[1])
    images = (16 * image[1] + width * image[3] for image in (x, y))
    return max(*images, geometry.kernel_size**2 * kernel[3] + width * kernel[5])


def _band(
    operator: str, geometry: Geometry, dtype: torch.dtype, native: bool
) -> tuple[Launch, int]:
    """On tensor cores, fp16 and bf16 only: cuda/band.h."""
    size, stride, channels = geometry.kernel_size, geometry.stride[0], _slice(geometry)
    pieces = (size * size + 14) // 8
    entries = 16 * pieces if pieces % 8 else 16 * pieces + 16
    blocks = _parts(7 * stride + size, 8)
    # STAGES * STAGE_BYTES of each source
    shared = 4 * (16 * channels * stride * blocks + 32 + 8 * entries)
    if operator == "grad_kernel":
        shared = 4 * 16 * channels * (stride * blocks + 1) + 32 * ((2 * size * size + 5) // 4)
    if operator == "grad_input":
        positions, shift = (6 + size) // stride + 1, 8 // stride
        blocks = _parts(shift + 8 * _parts(positions, 8), 8)
        shared = 3 * (16 * channels * blocks + (shift + positions) * entries)
    tiles = 2 if operator == "grad_input" else 1
    return _columnwise(operator, "", geometry, dtype, (), tiles * PIXELS, shared)


def _fma(operator: str, geometry: Geometry, dtype: torch.dtype, native: bool) -> tuple[Launch, int]:
    """In fp32 arithmetic: cuda/fma.h."""
    size, stride, channels = geometry.kernel_size, geometry.stride[0], _slice(geometry)
    rows, positions = _parts(size, stride), 7 * stride + size
    pixels = stride * positions * channels
    if operator == "grad_input":
        rows, positions = 1, (6 + size) // stride + 1
        pixels = positions * channels
    entries = rows * size * size * (positions if operator == "grad_input" else PIXELS)
    gradients = PIXELS * channels if operator == "grad_kernel" else 0
    shared = 4 * (entries // 4 * 4 + 4 + gradients + pixels)
    order = (("CHANNELS_LAST", str(int(native))),)
    return _columnwise(operator, "_fma", geometry, dtype, order, PIXELS, shared)


def _columnwise(
    operator: str,
    suffix: str,
    geometry: Geometry,
    dtype: torch.dtype,
    order: tuple[tuple[str, str], ...],
    width: int,
    shared: int,
) -> tuple[Launch, int]:
    """Warps that go down `width` columns each, with `shared` bytes each; and their rows."""
    defines = (
        ("STORAGE", STORAGE[dtype]),
        ("KERNEL_SIZE", str(geometry.kernel_size)),
        ("STRIDE", str(geometry.stride[0])),
        ("SLICE", str(_slice(geometry))),
        *order,
    )
    rows, columns = geometry.input_size if operator == "grad_input" else geometry.output_size
    tasks = geometry.batch * _parts(columns, width) * geometry.channels // _slice(geometry)
    strip = _parts(rows, min(_parts(ENOUGH_WARPS, tasks), _parts(rows, LEAST_STRIP)))
    grid = _parts(tasks * _parts(rows, strip), WARPS), 1, 1
    name = operator + suffix
    return Launch(f"{name}.cu", name, defines, grid, 32 * WARPS, WARPS * shared), strip


def _slice(geometry: Geometry) -> int:
    """Channels of a warp, all of one group."""
    return 8 if geometry.channels // geometry.groups % 16 else 16


def _any_strides(
    operator: str, geometry: Geometry, dtype: torch.dtype, channels_last: bool
) -> Launch:
    size, entries = geometry.output_size, geometry.channels
    if operator == "grad_input":
        size = geometry.input_size
    if operator == "grad_kernel":
        entries = geometry.groups * geometry.kernel_size**2
    fast, slow = (size[1] * entries, size[0]) if channels_last else (size[0] * size[1], entries)
    block = min(THREADS, 32 * _parts(fast, 32))
    grid = _parts(fast, block), min(slow, MOST_BLOCKS), min(geometry.batch, MOST_BLOCKS)
    defines = (("STORAGE", STORAGE[dtype]),)
    return Launch("any_strides.cu", f"{operator}_any", defines, grid, block, 0)


def _parts(whole: int, part: int) -> int:
    return -(-whole // part)


def _numbers(geometry: Geometry) -> tuple[int, ...]:
    return (
        *(geometry.batch, geometry.channels, geometry.groups, geometry.kernel_size),
        *(*geometry.input_size, *geometry.output_size),
        *(*geometry.stride, *geometry.padding, *geometry.dilation),
    )
