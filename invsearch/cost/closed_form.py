"""Params, MACs and bytes of a NetworkSpec in closed form: nothing is built, nothing is traced."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple, get_args

import ops
from invsearch.errors import InputError, nearest
from invsearch.models.blocks import EXPANSION, stem_involution
from invsearch.models.network import BlockSpec, NetworkSpec, StageSpec, StemSpec
from invsearch.models.resolve import problem

__all__ = ["FLOAT_BYTES", "Convention", "Counts", "LayerCost", "count", "layers"]

FLOAT_BYTES = 4
"""Of a float32, in which bytes are counted."""

Convention = Literal["fvcore", "paper"]
_CONVENTIONS = get_args(Convention)
Resolution = int | tuple[int, int]


@dataclass(frozen=True)
class Counts:
    """The counted costs of a network.

    Attributes:
        params: Trainable parameters, the linear head included.
        macs: Multiply-adds of one image.
        convention: What ``macs`` counts: ``fvcore`` or ``paper``.
    """

    params: int
    macs: int
    convention: Convention


@dataclass(frozen=True)
class LayerCost:
    """One row of a network's breakdown: a layer with the batch norm and ReLU that follow it.

    ``bytes`` are what one image's pass cannot do without, in float32: the whole input (of an
    ``add``: both) read once, the parameters read once, the output written once. Batch norm and ReLU
    work in place and running statistics are folded into the weights. What an operator makes and
    uses up inside does not count: an involution's kernel tensor, which the fused operator never
    stores, or attention's queries and keys. An implementation that stores them moves more.

    Attributes:
        name: Where the layer is, such as ``stage1.block2.conv1``.
        operator: What it is: a registered operator, ``max_pool``, ``global_average_pool``,
            ``linear`` or ``add`` (the end of a block).
        params: Its trainable parameters.
        macs_fvcore: Multiply-adds of one image by the convention ``fvcore``.
        macs_paper: The same by the convention ``paper``; 0 for the linear head, which the paper's
            tables leave out.
        bytes: Bytes read and written for one image, as above.
        output_shape: (channels, height, width).
    """

    name: str
    operator: str
    params: int
    macs_fvcore: int
    macs_paper: int
    bytes: int
    output_shape: tuple[int, int, int]


class _Part(NamedTuple):
    """The summed costs of some layers, and the size (H, W) of what they put out."""

    params: int
    macs_fvcore: int
    macs_paper: int
    height: int
    width: int


def count(
    spec: NetworkSpec, *, resolution: Resolution = 224, convention: Convention = "fvcore"
) -> Counts:
    """Count a network's parameters and the multiply-adds of one image, in eval mode.

    ``fvcore`` is what :func:`invsearch.cost.trace_macs` counts on the built network, the linear
    head included: multiply-adds without biases, 2 per element of a batch norm, 1 per input element
    of the global average pool. ``paper`` is what the paper's classification table counts: every
    layer but the linear head, with 1 per output for a bias or a ReLU and 1 per input element of a
    pooling (:func:`invsearch.cost.module_macs` with ``exclude_head=True``). ``params`` always
    include the head.

    Args:
        spec: The network.
        resolution: Side of the square image, or (height, width), in pixels.
        convention: ``fvcore`` or ``paper``.

    Returns:
        The counts; exact. Repeated blocks and stages come from a cache.

    Raises:
        InputError: If an operator cannot have its width, or the convention is unknown.
    """
    height, width = _size(resolution)
    part = _stem_part(spec.stem, spec.in_channels, height, width)
    channels = spec.stem.channels
    params, fvcore, paper, height, width = part
    for stage in spec.stages:
        part = _stage_part(channels, stage, height, width)
        params, fvcore, paper = params + part[0], fvcore + part[1], paper + part[2]
        height, width, channels = part[3], part[4], EXPANSION * stage.width
    if convention not in _CONVENTIONS:
        raise InputError(
            f"convention {convention!r} is unknown: choose from {list(_CONVENTIONS)}"
            f"{nearest(convention, _CONVENTIONS)}"
        )
    head = channels * spec.num_classes
    macs = paper if convention == "paper" else fvcore + head
    return Counts(params + head + spec.num_classes, macs + channels * height * width, convention)


def layers(spec: NetworkSpec, resolution: Resolution = 224) -> list[LayerCost]:
    """Break a network's cost down by layer; the columns add up to :func:`count` exactly.

    Args:
        spec: The network.
        resolution: Side of the square image, or (height, width), in pixels.

    Returns:
        One row a layer, in the order of the forward pass.

    Raises:
        InputError: If an operator cannot have its width.
    """
    height, width = _size(resolution)
    rows = list(_stem_layers(spec.stem, spec.in_channels, height, width))
    channels = spec.stem.channels
    for number, stage in enumerate(spec.stages, start=1):
        for index, block in enumerate(stage.blocks):
            stride = stage.stride if index == 0 else 1
            _, height, width = rows[-1].output_shape
            prefix = f"stage{number}.block{index + 1}."
            rows += _block_layers(prefix, channels, stage.width, stride, block, height, width)
            channels = EXPANSION * stage.width
    _, height, width = rows[-1].output_shape
    pooled = channels * height * width
    shape = (channels, 1, 1)
    rows.append(_row("pool", "global_average_pool", 0, pooled, pooled, pooled, shape))
    macs, params = channels * spec.num_classes, (channels + 1) * spec.num_classes
    rows.append(_row("head", "linear", params, macs, 0, channels, (spec.num_classes, 1, 1)))
    return rows


def _size(resolution: Resolution) -> tuple[int, int]:
    return (resolution, resolution) if isinstance(resolution, int) else resolution


@lru_cache(maxsize=1024)
def _stem_part(stem: StemSpec, in_channels: int, height: int, width: int) -> _Part:
    return _sum(_stem_layers(stem, in_channels, height, width))


@lru_cache(maxsize=65536)
def _stage_part(in_channels: int, stage: StageSpec, height: int, width: int) -> _Part:
    params = fvcore = paper = 0
    stride = stage.stride
    for block in stage.blocks:
        part = _block_part(in_channels, stage.width, stride, block, height, width)
        params, fvcore, paper = params + part[0], fvcore + part[1], paper + part[2]
        height, width = part[3], part[4]
        in_channels, stride = EXPANSION * stage.width, 1
    return _Part(params, fvcore, paper, height, width)


@lru_cache(maxsize=65536)
def _block_part(
    in_channels: int, channels: int, stride: int, block: BlockSpec, height: int, width: int
) -> _Part:
    return _sum(_block_layers("", in_channels, channels, stride, block, height, width))


def _sum(rows: Iterator[LayerCost]) -> _Part:
    costs = list(rows)
    _, height, width = costs[-1].output_shape
    return _Part(
        sum(row.params for row in costs),
        sum(row.macs_fvcore for row in costs),
        sum(row.macs_paper for row in costs),
        height,
        width,
    )


def _stem_layers(stem: StemSpec, in_channels: int, height: int, width: int) -> Iterator[LayerCost]:
    half, channels, stride = stem.channels // 2, stem.channels, stem.stride
    h, w = -(-height // stride), -(-width // stride)
    first = (half, 3) if stem.kind != "resnet" else (channels, 7)
    yield _conv("stem.conv1", in_channels, *first, height, width, stride=stride)
    if stem.kind != "resnet":
        if stem.kind == "deep":
            yield _conv("stem.conv2", half, half, 3, h, w)
        else:
            middle = BlockSpec("involution", tuple(stem_involution(stem).items()))
            yield _operator("stem.operator", half, 1, middle, h, w)
        yield _conv("stem.conv3", half, channels, 3, h, w)
    if stem.pool:
        shape = (channels, -(-h // 2), -(-w // 2))
        pooled = channels * h * w
        yield _row("stem.pool", "max_pool", 0, 0, pooled, pooled, shape)


def _block_layers(
    prefix: str,
    in_channels: int,
    channels: int,
    stride: int,
    block: BlockSpec,
    height: int,
    width: int,
) -> Iterator[LayerCost]:
    h, w = -(-height // stride), -(-width // stride)
    out_channels = EXPANSION * channels
    yield _conv(f"{prefix}conv1", in_channels, channels, 1, height, width)
    yield _operator(f"{prefix}operator", channels, stride, block, height, width)
    yield _conv(f"{prefix}conv3", channels, out_channels, 1, h, w, relu=False)
    if stride != 1 or in_channels != out_channels:
        sizes = (in_channels, out_channels, 1, height, width)
        yield _conv(f"{prefix}downsample", *sizes, stride=stride, relu=False)
    elements = out_channels * h * w
    yield _row(f"{prefix}add", "add", 0, 0, elements, 2 * elements, (out_channels, h, w))


def _row(
    name: str,
    operator: str,
    params: int,
    macs_fvcore: int,
    macs_paper: int,
    inputs: int,
    shape: tuple[int, int, int],
) -> LayerCost:
    """A row whose bytes follow from its weights and the elements of what it reads and writes."""
    moved = FLOAT_BYTES * (params + inputs + math.prod(shape))
    return LayerCost(name, operator, params, macs_fvcore, macs_paper, moved, shape)


def _conv(
    name: str,
    inputs: int,
    outputs: int,
    kernel_size: int,
    height: int,
    width: int,
    *,
    stride: int = 1,
    relu: bool = True,
) -> LayerCost:
    """A convolution without bias, its batch norm and ReLU, on (inputs, height, width)."""
    h, w = -(-height // stride), -(-width // stride)
    weights = inputs * outputs * kernel_size**2
    params = weights + 2 * outputs
    paper = h * w * (params + (outputs if relu else 0))
    elements, shape = inputs * height * width, (outputs, h, w)
    return _row(name, "convolution", params, h * w * params, paper, elements, shape)


def _operator(
    name: str, channels: int, stride: int, block: BlockSpec, height: int, width: int
) -> LayerCost:
    """An operator, its batch norm and its ReLU, on an input of (channels, height, width)."""
    reason = problem(channels, block)
    if reason is not None:
        raise InputError(reason)
    operator, settings = ops.get(block.operator), dict(block.hyperparameters)
    shape, h, w = (1, channels, height, width), -(-height // stride), -(-width // stride)
    fvcore = operator.macs(shape, "fvcore", stride=stride, **settings)
    paper = operator.macs(shape, "paper", stride=stride, **settings)
    elements = channels * h * w
    return _row(
        name,
        block.operator,
        operator.params(channels, **settings) + 2 * channels,
        fvcore + 2 * elements,
        paper + 3 * elements,
        channels * height * width,
        (channels, h, w),
    )
