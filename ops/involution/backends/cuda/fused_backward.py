"""The fused operator's derivatives on CUDA: nothing as large as the kernel tensor is ever stored.

fp16 and bf16 on tensor cores with float sums, channels-last. Each launch makes again what it needs
of the kernel or of its gradient, in registers; some leave partial sums, which another adds up.

- `fused_backward_x.cu`: the gradient of x. A block walks down the rows of up to 8 image strips.
- `fused_backward_span.cu`: of features, weight and bias in one pass. A block has all groups, a warp
  each, whose sums of the weight's gradient stay in its registers. With more than 8 groups or 32
  features they would not, and there are two passes instead:
- `fused_backward_weight.cu`: of weight and bias. A block has a group and a share of the tiles.
- `fused_backward_features.cu`: of the features. A block has a tile of 8 x 8 pixels and its groups.

No atomics: a sum's order depends on the shape and the GPU's number of SMs alone. Partial sums take
at most `WORKSPACE_BYTES`, whatever the batch. Gradients of kernel entries are rounded to the dtype
once, as a stored kernel gradient would be. A number that is not finite may reach other gradients of
its 8 or 16 pixels. Shapes that `refuses` names go through a kernel tensor.

The load/store units limit these kernels on an H200 (70 to 75 % busy, tensor cores mostly idle), so
that what counts is how many shared memory accesses of 128 bytes, or shuffles, a product needs.
Microseconds of a layer of RedNet-50 there, 64 images, with entries' gradients in shared memory and
two passes, as it is, and through a kernel tensor (which the forward kept; else 8 to 15 more):

| stem | 1   | 2d  | 2   | 3d  | 3  | 4d  | 4  |                         |
|------|-----|-----|-----|-----|----|-----|----|-------------------------|
| 250  | 177 | 199 | 121 | 134 | 86 | 139 | 85 | in shared memory        |
| 120  | 105 | 120 | 82  | 117 | 78 | 98  | 77 | as it is                |
| 227  | 376 | 221 | 174 | 123 | 94 | 77  | 57 | through a kernel tensor |
"""

from __future__ import annotations

import ctypes
import functools

import torch
from torch import Tensor

from ops.involution import layout
from ops.involution.backends.base import Gradients
from ops.involution.backends.cuda import launch as cuda_launch
from ops.involution.backends.cuda.launch import PROCESSORS, Launch, processors
from ops.involution.geometry import Geometry

__all__ = [
    "BackwardProblem",
    "SumProblem",
    "backward",
    "plan_features",
    "plan_span",
    "plan_sum",
    "plan_weight",
    "plan_x",
    "refuses",
]

STORAGE = {torch.float16: "float16", torch.bfloat16: "bfloat16"}
WORKSPACE_BYTES = 16 << 20
"""So many that in stage 2 of RedNet-50 two blocks an SM can each leave their sums, 52 kB."""
SHARED_BYTES = 99 << 10
"""What every GPU from sm_80 on has for a block."""
MOST_HIDDEN = 256
"""Beyond this sums would not stay in registers."""
X_BLOCKS, SMALL_X_BLOCKS = 2, 4
"""Blocks an SM that the gradient of x is cut into where it can be: what is resident at once, the
second for K <= 3. In the stem, with registers for 2, cutting into 6 took 75 us and into 2 took 94;
at K = 7 cutting into more never paid, since a piece makes K - 1 rows of entries again."""
FEATURE_BLOCKS = 3
"""Blocks an SM up to which tiles are shared by parts of the groups, whose sums cost a launch more:
with the entries in shared memory, 2 parts took 48.5 us in stage 3 (4 here) and 1 part took 30."""
MOST_SPAN_GROUPS, MOST_SPAN_HIDDEN = 8, 32
"""For all groups in a block: a warp each, whose sums of 32 features take 64 registers."""
SPAN_WEIGHT_SHARED = True
"""Whether the weight of more than 16 features lies in shared memory where that has room."""
SPAN_AHEAD = (2, 1)
SPAN_ENOUGH_BYTES = 72 << 10
"""Copies run two pairs of rows ahead up to so many bytes a block, else one; on an H200 one, two and
three took the same within 3 %."""

_REGISTERS, _SM_SHARED_BYTES = 64 << 10, 228 << 10  # of an SM of sm_90
_TILE, _GAP = 8, 8  # pixels of a tile's side; numbers between rows that keep them off one bank
_X_WARPS, _X_PIXELS, _TILE_THREADS = 8, 80, 128  # as in fused_backward_x.cu and fused_backward.h

Plan = tuple[Launch, "BackwardProblem"]


class BackwardProblem(ctypes.Structure):
    """`Problem` of `kernels/fused_backward.h`."""

    _fields_ = [
        (name, ctypes.c_int64)
        for name in (
            *("images", "height", "width", "out_height", "out_width", "channels", "groups"),
            *("pad_rows", "pad_columns", "tiles_down", "tiles_across", "tiles", "parts"),
            *("section_tiles", "sections", "column_blocks", "section_pixels", "band_rows"),
            "segment_rows",
        )
    ]


class SumProblem(ctypes.Structure):
    """`BackwardProblem` of `kernels/fused_backward_sum.cu`."""

    _fields_ = [(name, ctypes.c_int64) for name in ("rows", "columns", "first_columns")]


@functools.lru_cache(4096)
def refuses(geometry: Geometry, dtype: torch.dtype, hidden: int) -> str | None:
    """Why these kernels cannot serve a call, so that the composition must, or None."""
    size, group_channels = geometry.kernel_size, geometry.channels // geometry.groups
    if dtype not in STORAGE:
        return f"tensor cores take float16 and bfloat16, not {dtype}"
    if geometry.stride not in ((1, 1), (2, 2)) or geometry.dilation != (1, 1):
        return f"stride {geometry.stride}, dilation {geometry.dilation}; it takes 1 or 2, and 1"
    if not geometry.stride[0] <= size <= 7:
        return f"K = {size} is not within {geometry.stride[0]} and 7"
    if group_channels % 8:
        return f"C / G = {group_channels} is no multiple of 8"
    if hidden > MOST_HIDDEN:
        return f"more than {MOST_HIDDEN} features: {hidden}"
    shared = max(
        plan(geometry, dtype, hidden)[0].shared_bytes
        for plan in (plan_x, plan_weight, plan_features)
    )
    if shared > SHARED_BYTES:
        return f"its tiles take {shared} bytes of shared memory, a block has {SHARED_BYTES}"
    return None


def backward(
    grad_output: Tensor,
    x: Tensor,
    features: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    geometry: Geometry,
) -> Gradients:
    """Gradients of x, features, weight and bias (empty without one), in their layouts.

    Args:
        grad_output: (B, C, H_out, W_out).
        x: (B, C, H, W).
        features: (B, C_features, H_out, W_out).
        weight: (G, K, K, C_features).
        bias: (G, K, K) or None.
        geometry: Of the involution. What `refuses` names goes through a kernel tensor.
    """
    hidden = features.shape[1]
    if refuses(geometry, x.dtype, hidden) is not None:
        from ops.involution.composition import composed_backward

        window = (geometry.stride, geometry.padding, geometry.dilation)
        return composed_backward(grad_output, x, features, weight, bias, *window)
    results = (
        layout.empty_image(geometry.input_shape, x),
        layout.empty_image(tuple(features.shape), features),
        weight.new_empty(weight.shape),
        weight.new_empty(0 if bias is None else weight.shape[:3]),
    )
    if not x.numel() or not hidden:
        return _zeros(*results)
    dense = tuple(image.contiguous(memory_format=torch.channels_last) for image in results[:2])
    grad_output, x, features = (
        _aligned(image.contiguous(memory_format=torch.channels_last))
        for image in (grad_output, x, features)
    )
    weight, bias = _aligned(weight.contiguous()), None if bias is None else bias.contiguous()
    _run_x(grad_output, features, weight, bias, dense[0], geometry)
    if plan_span(geometry, x.dtype, hidden, processors(x.device)) is not None:
        _run_span(grad_output, x, features, weight, (dense[1], *results[2:]), geometry)
    else:
        _run_features(grad_output, x, weight, dense[1], geometry)
        _run_weight(grad_output, x, features, results[2], results[3], geometry)
    for result, image in zip(results, dense, strict=False):
        if image is not result:
            result.copy_(image)
    return results


@functools.lru_cache(4096)
def plan_x(
    geometry: Geometry, dtype: torch.dtype, hidden: int, processors: int = PROCESSORS
) -> Plan:
    """The launch of the gradient of x; see `kernels/fused_backward_x.cu`."""
    stride, columns = geometry.stride[0], -(-geometry.input_size[1] // _TILE)
    column_blocks = -(-columns // _X_WARPS)
    section_tiles = -(-columns // column_blocks)
    reach = (_TILE * section_tiles + geometry.kernel_size - 2 + stride - 1) // stride + 1
    pixels = _multiple(min(geometry.output_size[1], reach), _TILE)
    band_rows = max(
        _TILE * section_tiles + geometry.kernel_size + stride - 2,
        stride * (pixels - 1) + geometry.kernel_size,
    )
    band = 2 * band_rows * (geometry.kernel_size * 16 + _GAP)
    row = 2 * 2 * (_multiple(hidden, 16) + _GAP + 16 + _GAP)
    zeros = 2 * 2 * (16 + _GAP)
    fits = (SHARED_BYTES - zeros) // (band + pixels * row)
    pixels_fit = _X_PIXELS // pixels
    sections = max(1, min(_X_WARPS // section_tiles, pixels_fit, geometry.batch, fits))
    slices = -(-(geometry.channels // geometry.groups) // 16)
    blocks = -(-geometry.batch // sections) * column_blocks
    small = geometry.kernel_size <= 3 and hidden <= 16
    each = SMALL_X_BLOCKS if small else X_BLOCKS
    wanted = each * processors // max(1, blocks * geometry.groups * slices)
    segment_rows = _segment_rows(geometry, wanted)
    grid = (blocks, geometry.groups * slices, -(-geometry.input_size[0] // segment_rows))
    problem = _problem(geometry)
    problem.section_tiles, problem.sections = section_tiles, sections
    problem.column_blocks, problem.section_pixels = column_blocks, pixels
    problem.band_rows, problem.segment_rows = band_rows, segment_rows
    shared = sections * (band + pixels * row) + zeros
    defines = _defines(geometry, dtype, hidden)
    source = "fused_backward_x.cu"
    return Launch(source, "fused_grad_x", defines, grid, 32 * _X_WARPS, shared), problem


@functools.lru_cache(4096)
def plan_span(
    geometry: Geometry, dtype: torch.dtype, hidden: int, processors: int = PROCESSORS
) -> Plan | None:
    """The launch of the gradients of features, weight and bias; see
    `kernels/fused_backward_span.cu`.

    It leaves `problem.parts` rows of sums, as `plan_weight`'s does. None if the groups are too many
    for a block, or the features for the registers of a warp, which holds all sums of a group.
    """
    if geometry.groups > MOST_SPAN_GROUPS or hidden > MOST_SPAN_HIDDEN:
        return None
    if geometry.channels // geometry.groups not in (16, 32):
        return None
    stride, size, groups = geometry.stride[0], geometry.kernel_size, geometry.groups
    (shared, ahead), most = _span_shared(geometry, hidden), SHARED_BYTES
    if shared > most:
        return None
    threads, tiles, row_pairs = 32 * groups, -(-hidden // 8), (size + 1) // 2
    weight = 16 * row_pairs * -(-tiles // 2) * threads
    in_shared = SPAN_WEIGHT_SHARED and tiles > 2 and shared + weight <= most
    shared += weight if in_shared else 0
    registers = 255 if tiles > 2 and not in_shared else 128 if stride == 1 else 168
    resident = _resident(threads, registers, shared)
    problem = _problem(geometry)
    row = 4 * groups * size**2 * (hidden + 1)
    most_parts = max(1, min(resident * processors, WORKSPACE_BYTES // row))
    problem.tiles_down, problem.segment_rows = _walks(geometry, processors)
    problem.tiles = geometry.batch * problem.tiles_down * problem.tiles_across
    problem.parts = min(problem.tiles, most_parts)
    defines = (
        *_defines(geometry, dtype, hidden),
        ("GROUPS", str(groups)),
        ("AHEAD", str(ahead)),
        ("WEIGHT_SHARED", str(int(in_shared))),
        ("BLOCKS", str(resident)),
    )
    source, grid = "fused_backward_span.cu", (problem.parts, 1, 1)
    return Launch(source, "fused_grad_span", defines, grid, threads, shared), problem


@functools.lru_cache(4096)
def plan_weight(
    geometry: Geometry, dtype: torch.dtype, hidden: int, processors: int = PROCESSORS
) -> Plan:
    """The launch of the gradients of weight and bias; see `kernels/fused_backward_weight.cu`.

    It leaves `problem.parts` rows of sums, G K K (C_features + 1) floats in each with a bias.
    """
    problem = _problem(geometry)
    entries = geometry.kernel_size**2
    most = WORKSPACE_BYTES // (4 * geometry.groups * entries * (hidden + 1))
    row = _multiple(hidden, 16) + _GAP
    used = _tile_bytes(geometry) + 2 * 2 * _TILE**2 * row
    sums = _multiple(4 * entries * (_multiple(hidden, 8) + 4 + 1), 16)
    shared = max(used, sums)
    wanted = _resident(_TILE_THREADS, 128 if hidden <= 64 else 168, shared) * processors
    turns = -(-problem.tiles // max(1, min(wanted // geometry.groups, most)))
    problem.parts = -(-problem.tiles // max(1, turns))  # the fewest that take no more turns
    grid = (problem.parts, geometry.groups, 1)
    defines = _defines(geometry, dtype, hidden)
    source = "fused_backward_weight.cu"
    launch = Launch(source, "fused_grad_weight", defines, grid, _TILE_THREADS, shared)
    return launch, problem


@functools.lru_cache(4096)
def plan_features(
    geometry: Geometry, dtype: torch.dtype, hidden: int, processors: int = PROCESSORS
) -> Plan:
    """The launch of the gradient of the features; see `kernels/fused_backward_features.cu`.

    Where the tiles are few, `problem.parts` blocks share one and leave a sum each.
    """
    problem = _problem(geometry)
    rows, columns = geometry.output_size
    most = WORKSPACE_BYTES // max(1, 4 * geometry.batch * rows * columns * hidden)
    taps = 16 * -(-geometry.kernel_size // 2)
    shared = _tile_bytes(geometry) + 2 * 2 * taps * (_multiple(hidden, 16) + _GAP)
    each = min(FEATURE_BLOCKS, _resident(_TILE_THREADS, 168, shared))
    wanted = each * processors // max(1, problem.tiles)
    parts = min(geometry.groups, wanted, most)
    problem.parts = parts if parts > 1 else 1
    grid = (problem.tiles, problem.parts, 1)
    defines = _defines(geometry, dtype, hidden)
    source = "fused_backward_features.cu"
    return Launch(source, "fused_grad_features", defines, grid, _TILE_THREADS, shared), problem


@functools.lru_cache(4096)
def plan_sum(
    rows: int, columns: int, first_columns: int, dtype: torch.dtype
) -> tuple[Launch, SumProblem]:
    """The launch that adds up `rows` rows of floats; see `kernels/fused_backward_sum.cu`."""
    turns = 8 if rows < 64 else 32
    defines = (("STORAGE", STORAGE[dtype]), ("TURNS", str(turns)))
    grid, threads = (-(-columns // 32), 1, 1), 32 * turns
    launch = Launch("fused_backward_sum.cu", "sum_rows", defines, grid, threads, 4 * threads)
    return launch, SumProblem(rows, columns, first_columns)


def _run_x(
    grad_output: Tensor,
    features: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    grad_x: Tensor,
    geometry: Geometry,
) -> None:
    dtype, hidden, count = features.dtype, features.shape[1], processors(features.device)
    launch, problem = plan_x(geometry, dtype, hidden, count)
    cuda_launch.run(launch, problem, (grad_output, features, weight, bias, grad_x))


def _run_span(
    grad_output: Tensor,
    x: Tensor,
    features: Tensor,
    weight: Tensor,
    results: tuple[Tensor, Tensor, Tensor],
    geometry: Geometry,
) -> None:
    plan = plan_span(geometry, x.dtype, features.shape[1], processors(x.device))
    assert plan is not None
    launch, problem = plan
    grad_features, grad_weight, grad_bias = results
    biased = grad_bias if grad_bias.numel() else None
    columns = grad_weight.numel() + grad_bias.numel()
    sums = x.new_empty(problem.parts, columns, dtype=torch.float32)
    cuda_launch.run(
        launch, problem, (grad_output, x, features, weight, biased, grad_features, sums)
    )
    _add_up(sums, grad_weight, biased)


def _add_up(sums: Tensor, first: Tensor, second: Tensor | None) -> None:
    launch, problem = plan_sum(*sums.shape, first.numel(), first.dtype)
    cuda_launch.run(launch, problem, (sums, first, second))


def _run_weight(
    grad_output: Tensor,
    x: Tensor,
    features: Tensor,
    grad_weight: Tensor,
    grad_bias: Tensor,
    geometry: Geometry,
) -> None:
    launch, problem = plan_weight(geometry, x.dtype, features.shape[1], processors(x.device))
    columns = grad_weight.numel() + grad_bias.numel()
    sums = x.new_empty(problem.parts, columns, dtype=torch.float32)
    biased = grad_bias if grad_bias.numel() else None
    cuda_launch.run(launch, problem, (grad_output, x, features, biased, sums))
    _add_up(sums, grad_weight, biased)


def _run_features(
    grad_output: Tensor, x: Tensor, weight: Tensor, grad_features: Tensor, geometry: Geometry
) -> None:
    launch, problem = plan_features(geometry, x.dtype, weight.shape[3], processors(x.device))
    if problem.parts == 1:
        cuda_launch.run(launch, problem, (grad_output, x, weight, grad_features, None))
        return
    count = grad_features.numel()
    sums = x.new_empty(problem.parts, count, dtype=torch.float32)
    cuda_launch.run(launch, problem, (grad_output, x, weight, None, sums))
    _add_up(sums, grad_features, None)


def _problem(geometry: Geometry) -> BackwardProblem:
    rows, columns = geometry.output_size
    down, across = -(-rows // _TILE), -(-columns // _TILE)
    sizes = (geometry.batch, *geometry.input_size, rows, columns, geometry.channels)
    tiles = (down, across, geometry.batch * down * across)
    return BackwardProblem(*sizes, geometry.groups, *geometry.padding, *tiles)


def _defines(geometry: Geometry, dtype: torch.dtype, hidden: int) -> tuple[tuple[str, str], ...]:
    return (
        ("STORAGE", STORAGE[dtype]),
        ("KERNEL_SIZE", str(geometry.kernel_size)),
        ("STRIDE", str(geometry.stride[0])),
        ("GROUP_CHANNELS", str(geometry.channels // geometry.groups)),
        ("HIDDEN", str(hidden)),
    )


def _tile_bytes(geometry: Geometry) -> int:
    """Two tiles of x and of the gradient of the output; see `kernels/fused_backward_tile.h`."""
    reach = (_TILE - 1) * geometry.stride[0] + geometry.kernel_size
    row = _multiple(geometry.channels // geometry.groups, 16) + _GAP
    return 2 * 2 * (reach**2 + _TILE**2) * row


def _resident(threads: int, registers: int, shared_bytes: int) -> int:
    """Blocks that an SM of Hopper's holds, each with so many registers a thread."""
    by_registers = _REGISTERS // (threads * registers)
    return max(1, min(by_registers, _SM_SHARED_BYTES // (shared_bytes + 1024)))


def _span_shared(geometry: Geometry, hidden: int) -> tuple[int, int]:
    """Bytes that a block of `fused_backward_span.cu` needs without the weight, and pairs ahead."""
    stride, size = geometry.stride[0], geometry.kernel_size
    row = geometry.channels + (_GAP if geometry.channels % 64 else 0)
    features = _multiple(hidden, 16) + _GAP
    sums = 8 * 64 * geometry.groups * -(-hidden // 8)
    line = ((_TILE - 1) * stride + size) * row
    for ahead in SPAN_AHEAD:
        ring = (size + stride + 2 * stride * ahead) * line
        shared = 2 * (ring + (ahead + 1) * 2 * _TILE * (row + features)) + sums
        if shared <= SPAN_ENOUGH_BYTES:
            break
    return shared, ahead


def _walks(geometry: Geometry, processors: int) -> tuple[int, int]:
    """How many segments a strip of 8 columns is cut into, and output rows of each, even.

    Each begins with about as many pairs' rows of x as its first window has, before any work.
    """
    height, width = geometry.output_size
    strips, pairs = geometry.batch * -(-width // _TILE), -(-height // 2)
    start = -(-geometry.kernel_size // (2 * geometry.stride[0])) + 1
    best = min(
        range(1, max(1, pairs // 2) + 1),
        key=lambda n: -(-strips * n // processors) * (-(-pairs // n) + start),
    )
    rows = 2 * -(-pairs // best)
    return -(-height // rows), rows


def _segment_rows(geometry: Geometry, wanted: int) -> int:
    """Rows of the gradient of x that a block has; each makes K - 1 rows of entries again."""
    height, least = geometry.input_size[0], 2 * geometry.kernel_size
    segments = max(1, min(wanted, height // least))
    return -(-height // segments)


def _multiple(number: int, of: int) -> int:
    return -(-number // of) * of


def _aligned(tensor: Tensor) -> Tensor:
    """`tensor` where 16 bytes can be copied at once."""
    return tensor.clone() if tensor.data_ptr() % 16 else tensor


def _zeros(*results: Tensor) -> Gradients:
    first, second, third, fourth = (result.zero_() for result in results)
    return first, second, third, fourth
