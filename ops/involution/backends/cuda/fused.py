"""The CUDA back end's fused forms: generation and aggregation without a kernel tensor.

fp16 and bf16 on tensor cores with float sums, dense channels-last tensors; `kernels/fused.cu` has
the method. Kernel entries are rounded to the dtype once, as a stored kernel tensor's would be, and
live in registers. No shared memory, so that L1 has all of an SM's; registers alone limit how many
blocks of 128 threads are resident, 2 to 4 as `_Tile` says. On an H200 the load and store units are
what limits it: 63 to 84 % busy, the tensor cores below half.
"""

from __future__ import annotations

import ctypes
import functools
import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ops.involution import layout
from ops.involution.backends.base import Gradients
from ops.involution.backends.cuda import launch as cuda_launch
from ops.involution.backends.cuda.launch import Launch
from ops.involution.geometry import Geometry

__all__ = ["FusedProblem", "backward", "bottleneck", "forward", "plan", "refuses"]

STORAGE = {torch.float16: "float16", torch.bfloat16: "bfloat16"}
WARPS = 4
UNIT_COLUMNS = 8
"""Columns of a unit of work, which a warp does for one group; see `_Tile` for its rows."""
FOLD_THREADS = 128
MANY_FEATURES = 64
"""From so many features on, a block has one group; see `_Units.of_block`."""
ENOUGH_BLOCKS = 2112
"""A warp does several units only if at least so many blocks remain, 16 for each SM: on an H200 that
took 39 us where 8 took 44 (stage 1, 64 images), and the same as 8 at the other stages."""


class FusedProblem(ctypes.Structure):
    """`Problem` of `kernels/fused.cu`."""

    _fields_ = [
        (name, ctypes.c_int64)
        for name in (
            *("images", "height", "width", "out_height", "out_width", "pad_rows", "pad_columns"),
            *("block_images_log", "block_rows_log", "block_columns_log", "block_groups_log"),
            *("blocks_rows", "blocks_columns", "blocks_groups"),
        )
    ]


class FoldProblem(ctypes.Structure):
    """`FusedProblem` of `kernels/fold.cu`."""

    _fields_ = [(name, ctypes.c_int64) for name in ("features", "channels")]


def refuses(x: Tensor, weight: Tensor, geometry: Geometry) -> str | None:
    """Why a call needs a kernel tensor, or None: the choice between the two, by shape.

    Where the kernel can run it is preferred, since at every shape it moves fewer bytes, even if x
    and y have to be copied from and to another layout. That it is faster at every shape is
    unmeasured.
    """
    group_channels = geometry.channels // geometry.groups
    if x.dtype not in STORAGE:
        return f"tensor cores take float16 and bfloat16, not {x.dtype}"
    if geometry.stride not in ((1, 1), (2, 2)) or geometry.dilation != (1, 1):
        return f"stride {geometry.stride}, dilation {geometry.dilation}; it takes 1 or 2, and 1"
    if geometry.kernel_size > 7:
        return f"K = {geometry.kernel_size} is more than 7"
    if group_channels % 8:
        return f"C / G = {group_channels} is no multiple of 8"
    return None


def forward(
    x: Tensor, features: Tensor, weight: Tensor, bias: Tensor | None, geometry: Geometry
) -> Tensor:
    """y; kernel entries live in registers, for 32 pixels and a group at a time."""
    return _run(x, features, weight, bias, geometry, relu=False)


def backward(
    grad_output: Tensor,
    x: Tensor,
    features: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    geometry: Geometry,
) -> Gradients:
    """Gradients of x, features, weight and bias; see `fused_backward`."""
    from ops.involution.backends.cuda import fused_backward as cuda_fused_backward

    return cuda_fused_backward.backward(grad_output, x, features, weight, bias, geometry)


def bottleneck(
    x: Tensor,
    reduce: Tensor,
    mean: Tensor,
    variance: Tensor,
    gain: Tensor,
    offset: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    epsilon: float,
    geometry: Geometry,
) -> Tensor:
    """y of the whole layer in eval mode.

    The batch norm is folded into the reducing convolution, a matrix product of torch's, and the
    fused kernel applies the ReLU as it reads the result.
    """
    matrix, shift = _folded(reduce, (mean, variance, gain, offset), epsilon)
    x = pooled = _dense(x)
    if geometry.stride != (1, 1):
        pooled = F.avg_pool2d(x, geometry.stride, ceil_mode=True, count_include_pad=False)
    pixels = pooled.permute(0, 2, 3, 1)
    reduced = torch.addmm(shift, pixels.flatten(0, 2), matrix.t())
    features = reduced.view(*pixels.shape[:3], -1).permute(0, 3, 1, 2)
    return _run(x, features, weight, bias, geometry, relu=True)


@functools.lru_cache(4096)
def plan(
    geometry: Geometry, dtype: torch.dtype, hidden: int, relu: bool = False
) -> tuple[Launch, FusedProblem]:
    """The launch of (x, features, weight, bias or null, y), all dense, images channels-last.

    Args:
        geometry: Of the involution; neither refused nor empty.
        dtype: Of all tensors.
        hidden: C_features, a multiple of 4.
        relu: Whether negative features count as zeros.
    """
    stride, tile = geometry.stride[0], _Tile.of_layer(geometry, hidden)
    units = _Units.of_block(geometry, hidden, tile.rows)
    input_rows = (tile.rows - 1) * stride + geometry.kernel_size
    defines = {
        "STORAGE": STORAGE[dtype],
        "SIZE": geometry.kernel_size,
        "STRIDE": stride,
        "GROUPS": geometry.groups,
        "GROUP_CHANNELS": geometry.channels // geometry.groups,
        "HIDDEN": hidden,
        "RELU": str(relu).lower(),
        "ROWS": tile.rows,
        "AHEAD": min(tile.ahead, input_rows),
        "BLOCKS": tile.blocks,
    }
    images, *blocks = units.blocks(geometry, tile.rows)
    count = images * math.prod(blocks)
    macros = tuple((name, str(value)) for name, value in defines.items())
    launch = Launch("fused.cu", "fused", macros, (count, 1, 1), 32 * WARPS, 0)
    sizes = (geometry.batch, *geometry.input_size, *geometry.output_size, *geometry.padding)
    return launch, FusedProblem(*sizes, *units, *blocks)


class _Tile(NamedTuple):
    """What a warp holds at a time.

    Attributes:
        rows: Of a unit's output pixels. More of them share the rows of x that their windows see.
        ahead: Rows of x that it asks for before it makes a unit's kernel entries.
        blocks: That an SM holds, and so how many registers a thread has.
    """

    rows: int
    ahead: int
    blocks: int

    @staticmethod
    def of_layer(geometry: Geometry, hidden: int) -> _Tile:
        """As many rows as hardly stand over the image's, and as registers hold without spilling.

        Measured on an H200 at RedNet-50's shapes, 64 images, in microseconds:

        | stage (rows)     | stem (112) | 1 (56) | 2 (28) | 3 (14) | 4 (7) | 2d (28) | 3d | 4d |
        |------------------|------------|--------|--------|--------|-------|---------|----|----|
        | 4 rows           | 41.6       | 39.8   | 23.3   | 20.4   | 15.1  | 38.5    | 28 | 18 |
        | 8 rows, or 6: 2d | 38.6       | 36.5   | 25.1   | 18.4   | 13.6  | 37.7    | 26 | 16 |

        With many features the steps of 32 need the registers, and take longer than any row of x.
        """
        many = hidden >= MANY_FEATURES
        if geometry.stride[0] == 2:
            return _Tile(8, 2, 2) if many else _Tile(6, 4, 3)
        if many:
            return _Tile(8, 4, 2)
        eight = _Tile(8, 4, 3) if hidden % 32 else _Tile(8, 0, 2)
        if geometry.kernel_size < 5:
            eight = _Tile(8, 6, 4)
        for tile in (eight, _Tile(10, 4, 2)):
            if -geometry.output_size[0] % tile.rows <= geometry.output_size[0] / 10:
                return tile
        return _Tile(4, 6, 4)


class _Units(NamedTuple):
    """Logarithms, to base 2, of how many units a block does along each axis."""

    images: int
    rows: int
    columns: int
    groups: int

    @staticmethod
    def of_block(geometry: Geometry, hidden: int, tile_rows: int) -> _Units:
        """So many that the block's warps read the same things from L1.

        With few features, groups side by side in memory first, then neighbours, whose windows
        overlap. With many, one group: its weights, K K C_features numbers, are more than all else
        that a unit reads, and all units of a group read the same.
        """
        groups = 0 if hidden >= MANY_FEATURES else min(2, (geometry.groups - 1).bit_length())
        units = _Units._filled(geometry, groups, 2, tile_rows)
        for bits in (3, 4, 5):
            larger = _Units._filled(geometry, groups, bits, tile_rows)
            if math.prod(larger.blocks(geometry, tile_rows)) >= ENOUGH_BLOCKS:
                units = larger
        return units

    @staticmethod
    def _filled(geometry: Geometry, groups: int, bits: int, tile_rows: int) -> _Units:
        """2^bits units: columns before rows, and of further images only what an image lacks."""
        height, width = geometry.output_size
        across = (-(-width // UNIT_COLUMNS) - 1).bit_length()
        down = (-(-height // tile_rows) - 1).bit_length()
        columns = min(1, across, bits - groups)
        rows = min(2, down, bits - groups - columns)
        columns += min(across - columns, bits - groups - columns - rows)
        images = bits - groups - columns - rows if groups == 0 else 0
        return _Units(images, rows, columns, groups)

    def blocks(self, geometry: Geometry, tile_rows: int) -> tuple[int, int, int, int]:
        """Blocks along the images, and along the rows, columns and groups of an image."""
        totals = (geometry.batch, *geometry.output_size, geometry.groups)
        sizes = (1, tile_rows, UNIT_COLUMNS, 1)
        images, rows, columns, groups = (
            -(-total // (size << log)) for total, size, log in zip(totals, sizes, self, strict=True)
        )
        return images, rows, columns, groups


def _folded(reduce: Tensor, norm: tuple[Tensor, ...], epsilon: float) -> tuple[Tensor, Tensor]:
    """The reducing convolution's matrix (C_features, C) and bias with the batch norm in them."""
    features, channels = reduce.shape[:2]
    matrix, shift = reduce.new_empty(features, channels), reduce.new_empty(features)
    defines = (("STORAGE", STORAGE[reduce.dtype]),)
    blocks = -(-matrix.numel() // FOLD_THREADS)
    launch = Launch("fold.cu", "fold", defines, (blocks, 1, 1), FOLD_THREADS, 0)
    tensors = (reduce.contiguous(), *(vector.contiguous() for vector in norm), matrix, shift)
    scalars = (ctypes.c_double(epsilon),)
    cuda_launch.run(launch, FoldProblem(features, channels), tensors, scalars)
    return matrix, shift


def _run(
    x: Tensor,
    features: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    geometry: Geometry,
    relu: bool,
) -> Tensor:
    result = layout.empty_image(geometry.output_shape, x)
    if not result.numel():
        return result
    missing = -features.shape[1] % 4
    if missing:
        features = F.pad(features, (0, 0, 0, 0, 0, missing))
        weight = F.pad(weight, (0, missing))
    y = result.contiguous(memory_format=torch.channels_last)
    launch, problem = plan(geometry, x.dtype, features.shape[1], relu)
    parameters = (_aligned(weight), None if bias is None else bias.contiguous())
    cuda_launch.run(launch, problem, (_dense(x), _dense(features), *parameters, y))
    return result if y is result else result.copy_(y)


def _dense(image: Tensor) -> Tensor:
    return _aligned(image, torch.channels_last)


def _aligned(
    tensor: Tensor, memory_format: torch.memory_format = torch.contiguous_format
) -> Tensor:
    """`tensor` dense and where vectors can be read, as all that torch allocates is."""
    dense = tensor.contiguous(memory_format=memory_format)
    return dense.clone() if dense.data_ptr() % 16 else dense
