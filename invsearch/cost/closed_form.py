"""Params, MACs and bytes of a NetworkSpec in closed form: nothing is built, nothing is traced."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple, get_args

import ops
from invsearch.errors import InputError, nearest
from invsearch.models.form import LayerSpec
from invsearch.models.network import Entrance, NetworkSpec, Part, stage_places
from invsearch.models.problem import problem

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
            ``global_max_pool``, ``linear`` or ``add`` (the end of a block).
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


class _Sum(NamedTuple):
    """The summed costs of some layers."""

    params: int
    macs_fvcore: int
    macs_paper: int


def count(
    spec: NetworkSpec,
    *,
    resolution: Resolution = 224,
    convention: Convention = "fvcore",
    head: bool = True,
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
        head: Whether what comes after the last stage is counted; a backbone has none of it.

    Returns:
        The counts; exact. Repeated blocks and stages come from a cache.

    Raises:
        InputError: If an operator cannot have its width, or the convention is unknown.
    """
    if convention not in _CONVENTIONS:
        raise InputError(
            f"convention {convention!r} is unknown: choose from {list(_CONVENTIONS)}"
            f"{nearest(convention, _CONVENTIONS)}"
        )
    # By whole stages, not by the walk's places: a search counts thousands of networks a second,
    # and a stage is looked up as fast as a block.
    height, width = _size(resolution)
    sums = [_part_sum(spec.stem_place(height, width).part)]
    size = (height, width)
    for entrance in spec.entrances(height, width):
        sums.append(_stage_sum(entrance))
        size = entrance.output_size
    if head:
        sums.append(_part_sum(spec.head_place(size).part))
    params, fvcore, paper = map(sum, zip(*sums, strict=True))
    return Counts(params, paper if convention == "paper" else fvcore, convention)


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
    return [
        _layer_cost(layer, place.layer_name(layer.name))
        for place in spec.walk(*_size(resolution))
        for layer in place.part.form.layers(place.part)
    ]


def _size(resolution: Resolution) -> tuple[int, int]:
    return (resolution, resolution) if isinstance(resolution, int) else resolution


@lru_cache(maxsize=65536)  # distinct stages of a large search
def _stage_sum(entrance: Entrance) -> _Sum:
    sums = [_part_sum(place.part) for place in stage_places(entrance)]
    return _Sum(*(sum(column) for column in zip(*sums, strict=True)))


@lru_cache(maxsize=65536)  # distinct blocks of a large search
def _part_sum(part: Part) -> _Sum:
    costs = [_layer_cost(layer, layer.name) for layer in part.form.layers(part)]
    return _Sum(
        sum(row.params for row in costs),
        sum(row.macs_fvcore for row in costs),
        sum(row.macs_paper for row in costs),
    )


def _layer_cost(layer: LayerSpec, name: str) -> LayerCost:
    """The row of a layer; its bytes are those of its weights and of what it reads and writes."""
    params, fvcore, paper, inputs = _COSTS[layer.kind](layer)
    shape = (layer.out_channels, *layer.output_size)
    moved = FLOAT_BYTES * (params + inputs + math.prod(shape))
    kind = layer.block.operator if layer.block is not None else layer.kind
    return LayerCost(name, kind, params, fvcore, paper, moved, shape)


class _Cost(NamedTuple):
    """Of one layer; ``inputs`` are the elements that it reads."""

    params: int
    macs_fvcore: int
    macs_paper: int
    inputs: int


def _convolution(layer: LayerSpec) -> _Cost:
    """A convolution without bias, its batch norm and its activation."""
    params = layer.in_channels * layer.out_channels * layer.kernel_size**2 + 2 * layer.out_channels
    macs = math.prod(layer.output_size) * params
    return _Cost(params, macs, macs + _activation(layer), _inputs(layer))


def _operator(layer: LayerSpec) -> _Cost:
    """An operator, its batch norm and its activation."""
    assert layer.block is not None
    channels, stride = layer.in_channels, layer.stride
    reason = problem(channels, layer.block)
    if reason is not None:
        raise InputError(reason)
    operator, settings = ops.get(layer.block.operator), dict(layer.block.hyperparameters)
    shape, norm = (1, channels, *layer.size), 2 * channels
    elements = norm * math.prod(layer.output_size)
    paper = operator.macs(shape, "paper", stride=stride, **settings) + elements
    return _Cost(
        operator.params(channels, **settings) + norm,
        operator.macs(shape, "fvcore", stride=stride, **settings) + elements,
        paper + _activation(layer),
        _inputs(layer),
    )


def _max_pool(layer: LayerSpec) -> _Cost:
    return _Cost(0, 0, _inputs(layer), _inputs(layer))


def _global_average_pool(layer: LayerSpec) -> _Cost:
    return _Cost(0, _inputs(layer), _inputs(layer), _inputs(layer))


def _add(layer: LayerSpec) -> _Cost:
    return _Cost(0, 0, _activation(layer), 2 * _inputs(layer))


def _linear(layer: LayerSpec) -> _Cost:
    """With a bias; the paper's tables leave the head out."""
    macs = layer.in_channels * layer.out_channels
    return _Cost(macs + layer.out_channels, macs, 0, _inputs(layer))


_COSTS: Mapping[str, Callable[[LayerSpec], _Cost]] = {
    "convolution": _convolution,
    "operator": _operator,
    "max_pool": _max_pool,
    "global_average_pool": _global_average_pool,
    "global_max_pool": _max_pool,
    "add": _add,
    "linear": _linear,
}


def _inputs(layer: LayerSpec) -> int:
    return layer.in_channels * math.prod(layer.size)


def _activation(layer: LayerSpec) -> int:
    """What an activation costs in the convention ``paper``: 1 an element."""
    return layer.out_channels * math.prod(layer.output_size) if layer.activation else 0
