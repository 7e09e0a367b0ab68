"""Launches of the kernels on kernels/tasks.h: warps that go down a few columns of the result.

Two kinds: "band", on tensor cores, for fp16 and bf16 in channels-last; and "fma", in fp32
arithmetic, for the rest. They are compiled for K, stride, dtype, layout and 8 or 16 channels a
warp. What each reads and keeps where is said in their sources.
"""

from __future__ import annotations

import torch

from ops.involution.backends.cuda.launch import Launch
from ops.involution.geometry import Geometry

__all__ = ["STORAGE", "Strides", "fits", "launch", "parts", "strip_of"]

STORAGE = {torch.float32: "float", torch.float16: "float16", torch.bfloat16: "bfloat16"}
"""Storage type of each dtype that the kernels take."""
SIZES = (3, 5, 7)
STRIDES = (1, 2)
WARPS, PIXELS = 4, 8
"""Warps of a block, at most, and columns of a warp's tile, as in kernels/tasks.h."""
RESIDENT = {
    "aggregate": (20, 16),
    "grad_input": (12, 12),
    "grad_kernel": (20, 12),
    "aggregate_fma": (12, 12),
    "grad_input_fma": (12, 12),
    "grad_kernel_fma": (12, 12),
}
"""Warps that an SM holds of each kernel, at stride 1 and 2: the sources' launch bounds."""
LEAST_STRIP = 4
"""Rows of a warp, at least, where the image has them."""
AGAIN = {"aggregate": 0.25, "grad_input": 1.0, "grad_kernel": 0.25}
"""What a strip costs beyond its rows, in rows for each of the (K - 1) / stride it reads again.

The output and the gradient of the kernel read only the input again, a quarter of a row's bytes;
the gradient of the input reads entries again.
"""
BUSY = {"aggregate": 0.6, "grad_input": 0.6, "grad_kernel": 1.0}
"""From what share of the warps that a GPU holds on more of them share what it does in a time.

Measured on an H200, RedNet-50's stages 1 and 2 with 64 images: at .65 to .78 of them one strip took
as long as four of the output (50 us), and less of the gradient of the input (51 us, two strips 68);
the gradient of the kernel, which has twice the instructions, took 102 us, and 90 with four.
"""

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
    operator: str,
    kind: str,
    geometry: Geometry,
    dtype: torch.dtype,
    kernel: Strides,
    processors: int,
) -> tuple[Launch, int]:
    """The launch, and how many rows of the result each warp has.

    Args:
        operator: "aggregate", "grad_input" or "grad_kernel".
        kind: "band" or "fma".
        geometry: Of the involution; `fits` it.
        dtype: Of every tensor.
        kernel: Strides of the kernel, or its gradient, (B, G, K, K, H_out, W_out).
        processors: SMs of the GPU.
    """
    size, stride, channels = geometry.kernel_size, geometry.stride[0], _slice(geometry)
    numbers = {"KERNEL_SIZE": size, "STRIDE": stride, "SLICE": channels}
    if kind == "band":
        name, group_slices = operator, geometry.channels // geometry.groups // channels
        warps = _warps(geometry.groups, group_slices, kernel[1] == size * size)
        keep_place = kernel[4] % 8 == 0  # rows of entries begin at one place within 16 bytes
        numbers |= {"BLOCK_WARPS": warps, "GROUP_SLICES": group_slices, "KEEP_PLACE": keep_place}
        shared = _band_bytes(operator, size, stride, channels, warps, max(1, warps // group_slices))
    else:
        name, warps = f"{operator}_fma", WARPS
        numbers |= {"BLOCK_WARPS": warps, "CHANNELS_LAST": kernel[3] == 1}
        shared = warps * _fma_bytes(operator, size, stride, channels)
    defines = ("STORAGE", STORAGE[dtype]), *((key, str(int(n))) for key, n in numbers.items())
    width = 2 * PIXELS if name == "grad_input" else PIXELS
    rows, columns = geometry.input_size if operator == "grad_input" else geometry.output_size
    tasks = geometry.batch * parts(columns, width) * geometry.channels // channels
    again = AGAIN[operator] * (size - 1) / stride
    resident = processors * RESIDENT[name][stride - 1]
    strip = strip_of(rows, tasks, resident, again, BUSY[operator])
    grid = parts(tasks * parts(rows, strip), warps), 1, 1
    return Launch(f"{name}.cu", name, defines, grid, 32 * warps, shared), strip


def _warps(groups: int, group_slices: int, packed: bool) -> int:
    """Warps of a block, which copy for each other: of whole groups side by side, or of one.

    Args:
        groups: G.
        group_slices: Warps that share a group's channels.
        packed: Whether the entries of a pixel's groups lie one behind the other.
    """
    for warps in (WARPS, 2):
        several = warps % group_slices == 0 and (packed or warps == group_slices)
        if (groups * group_slices) % warps == 0 and (several or group_slices % warps == 0):
            return warps
    return 1


def strip_of(rows: int, tasks: int, resident: int, again: float, busy: float) -> int:
    """How many rows a warp has: so many that all of them take the least time.

    The GPU runs whole waves of warps, then a last one. With up to `busy` of a wave each row takes
    its latency; more warps share what the GPU does in a time. So more strips fill the last wave,
    but each has rows to read again.

    Args:
        rows: Of the result.
        tasks: Warps if each had all rows.
        resident: Warps of a wave.
        again: What a strip costs beyond its own rows, in rows.
        busy: Share of a wave, see `BUSY`.
    """

    def time(strip: int) -> float:
        waves, last = divmod(tasks * parts(rows, strip), resident)
        of_last = max(1.0, last / resident / busy) if last else 0.0
        return (waves / busy + of_last) * (strip + again)

    strips = {parts(rows, count) for count in range(1, max(1, rows // LEAST_STRIP) + 1)}
    return min(sorted(strips, reverse=True), key=time)


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


def _band_bytes(
    operator: str, size: int, stride: int, channels: int, warps: int, groups: int
) -> int:
    """Shared memory of a block: STAGES * STAGE_BYTES, and for grad_kernel a row of entries."""
    entries = 16 * ((groups * size * size + 14) // 8 | 1)

    def pixels(blocks: int) -> int:
        return warps * (16 * channels * blocks + 128 // warps % 128)

    row = pixels(parts((PIXELS - 1) * stride + size, 8))
    if operator == "aggregate":
        return 4 * (stride * row + PIXELS * entries)
    if operator == "grad_kernel":
        return 4 * (stride * row + pixels(1)) + PIXELS * entries
    positions, shift = (PIXELS + size - 2) // stride + 1, PIXELS // stride
    blocks = parts(shift + 8 * parts(positions, 8), 8)
    return 3 * (pixels(blocks) + (shift + positions) * entries)


def _fma_bytes(operator: str, size: int, stride: int, channels: int) -> int:
    """Shared memory of a warp: floats of entries, then of pixels."""
    if operator == "grad_input":
        positions = (PIXELS + size - 2) // stride + 1
        return 4 * (positions * size * size // 4 * 4 + 4 + positions * channels)
    entries = parts(size, stride) * PIXELS * size * size // 4 * 4 + 4
    gradients = PIXELS if operator == "grad_kernel" else 0
    pixels = stride * ((PIXELS - 1) * stride + size)
    return 4 * (entries + (gradients + pixels) * channels)
