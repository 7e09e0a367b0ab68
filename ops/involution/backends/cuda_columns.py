"""Launches of the kernels on cuda/tasks.h: warps that go down a few columns of the result.

Two kinds: "band", on tensor cores, for fp16 and bf16 in channels-last; and "fma", in fp32
arithmetic, for the rest. They are compiled for K, stride, dtype, layout and 8 or 16 channels a
warp. What each reads and keeps where is said in their sources; none of the choices here, nor the
numbers of stages and registers there, has been measured on a GPU.
"""

from __future__ import annotations

import torch

from ops.involution.backends.cuda_launch import Launch
from ops.involution.geometry import Geometry

__all__ = ["STORAGE", "Strides", "fits", "launch", "parts"]

STORAGE = {torch.float32: "float", torch.float16: "float16", torch.bfloat16: "bfloat16"}
"""Storage type of each dtype that the kernels take."""
SIZES = (3, 5, 7)
STRIDES = (1, 2)
WARPS, PIXELS = 4, 8
"""As in cuda/tasks.h."""
ENOUGH_WARPS = {"aggregate": 8192, "grad_input": 2048, "grad_kernel": 8192}
"""From so many on, a warp goes down all rows: two to three times what a large GPU has at once.

Fewer for the gradient of the input, where two strips of rows read entries twice.
"""
LEAST_STRIP = {"aggregate": 7, "grad_input": 14, "grad_kernel": 7}
"""Rows of a warp, at least, where the image has them."""

Strides = tuple[int, ...]


def fits(operator: str, geometry: Geometry, x: Strides, y: Strides, kernel: Strides) -> bool:
    """Whether there is a kernel for it."""
    size, group_channels = geometry.kernel_size, geometry.channels // geometry.groups
    innermost = x[1] == y[1] == kernel[3] == 1 or x[3] == y[3] == kernel[5] == 1
    return (
        size in SIZES
        and geometry.stride in {(stride, stride) for stride in STRIDES}
        and geometry.dilation == (1, 1)
        and group_channels % 8 == 0
        and (operator != "grad_kernel" or group_channels <= 16)
        and innermost
        and kernel[2] == size * kernel[3]
        and _reach(geometry, x, y, kernel) < 2**31
    )


def launch(
    operator: str, kind: str, geometry: Geometry, dtype: torch.dtype, native: bool
) -> tuple[Launch, int]:
    """The launch, and how many rows of the result each warp has.

    Args:
        operator: "aggregate", "grad_input" or "grad_kernel".
        kind: "band" or "fma".
        geometry: Of the involution; `fits` it.
        dtype: Of every tensor.
        native: Whether channels, and the entries of a pixel, are innermost; else columns are.
    """
    name, order = (
        (operator, {}) if kind == "band" else (f"{operator}_fma", {"CHANNELS_LAST": native})
    )
    size, stride, channels = geometry.kernel_size, geometry.stride[0], _slice(geometry)
    numbers = {"KERNEL_SIZE": size, "STRIDE": stride, "SLICE": channels, **order}
    defines = ("STORAGE", STORAGE[dtype]), *((key, str(int(n))) for key, n in numbers.items())
    shared = (_band_bytes if kind == "band" else _fma_bytes)(operator, size, stride, channels)
    width = 2 * PIXELS if name == "grad_input" else PIXELS
    rows, columns = geometry.input_size if operator == "grad_input" else geometry.output_size
    tasks = geometry.batch * parts(columns, width) * geometry.channels // channels
    most = parts(rows, LEAST_STRIP[operator])
    strip = parts(rows, min(parts(ENOUGH_WARPS[operator], tasks), most))
    grid = parts(tasks * parts(rows, strip), WARPS), 1, 1
    return Launch(f"{name}.cu", name, defines, grid, 32 * WARPS, WARPS * shared), strip


def parts(whole: int, part: int) -> int:
    """How many parts of that size it takes."""
    return -(-whole // part)


def _slice(geometry: Geometry) -> int:
    """Channels of a warp, all of one group."""
    return 8 if geometry.channels // geometry.groups % 16 else 16


def _reach(geometry: Geometry, x: Strides, y: Strides, kernel: Strides) -> int:
    """Numbers from the first to the last of those that a warp offsets in 32 bits."""
    width = max(geometry.input_size[1], geometry.output_size[1])
    images = (16 * image[1] + width * image[3] for image in (x, y))
    return max(*images, geometry.kernel_size**2 * kernel[3] + width * kernel[5])


def _band_bytes(operator: str, size: int, stride: int, channels: int) -> int:
    """Shared memory of a warp: STAGES * STAGE_BYTES, and for grad_kernel the entries' words."""
    pieces = (size * size + 14) // 8
    entries = 16 * pieces + (0 if pieces % 4 else 16)
    blocks = parts((PIXELS - 1) * stride + size, 8)
    if operator == "aggregate":
        return 4 * (16 * channels * stride * blocks + 32 + PIXELS * entries)
    if operator == "grad_kernel":
        words = (2 * size * size + 5) // 4
        return 4 * 16 * channels * (stride * blocks + 1) + PIXELS * 4 * words
    positions, shift = (PIXELS + size - 2) // stride + 1, PIXELS // stride
    blocks = parts(shift + 8 * parts(positions, 8), 8)
    return 3 * (16 * channels * blocks + (shift + positions) * entries)


def _fma_bytes(operator: str, size: int, stride: int, channels: int) -> int:
    """Shared memory of a warp: floats of entries, then of pixels."""
    if operator == "grad_input":
        positions = (PIXELS + size - 2) // stride + 1
        return 4 * (positions * size * size // 4 * 4 + 4 + positions * channels)
    entries = parts(size, stride) * PIXELS * size * size // 4 * 4 + 4
    gradients = PIXELS if operator == "grad_kernel" else 0
    pixels = stride * ((PIXELS - 1) * stride + size)
    return 4 * (entries + (gradients + pixels) * channels)
