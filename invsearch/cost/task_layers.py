"""Where the cost of a detector or a segmenter goes: the layers of backbone, neck and head."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from invsearch.cost.closed_form import FLOAT_BYTES, LayerCost, layers
from invsearch.cost.meta_trace import meta_macs
from invsearch.cost.module_layers import kind_of, module_layers
from invsearch.cost.modules import module_macs
from invsearch.cost.observe import Call, Observer, on_meta
from invsearch.cost.task_count import build_task, searched_shape, task_count
from invsearch.models.module import ModuleSpec
from invsearch.models.searched import SearchedSpec
from invsearch.models.task import TaskSpec

__all__ = ["searched_layers", "task_layers"]

Shape = tuple[int, ...]
_Calls = dict[str, list[tuple[Shape, Shape]]]


def searched_layers(spec: SearchedSpec, resolution: int = 224) -> list[LayerCost]:
    """:func:`invsearch.cost.layers` or one of its kin, of a searched network."""
    if isinstance(spec, ModuleSpec):
        return module_layers(spec, (resolution, resolution))
    return task_layers(spec) if isinstance(spec, TaskSpec) else layers(spec, resolution)


def task_layers(spec: TaskSpec, resolution: tuple[int, int] | None = None) -> list[LayerCost]:
    """Break the cost of a detector or segmenter down by layer.

    Args:
        spec: What to count.
        resolution: (height, width) of the image, in pixels; default: the paper's for the task.

    Returns:
        The backbone's layers, then those of neck and heads. A layer that runs on several levels or
        regions is one row: its MACs and bytes are of all its calls, its shape is that of the first
        output. A last row, ``functional``, has the interpolations between layers; additions,
        concatenations and the gathering of regions are in no row. Frozen layers have 0 params, so
        that the columns add up to :func:`invsearch.cost.task_count` exactly; their weights are
        read all the same.
    """
    size = resolution or searched_shape(spec, 0)[2:]
    interpolated: list[int] = []
    rows = [*_backbone(spec, size), *_rest(spec, size, interpolated)]
    fvcore, paper = (
        task_count(spec, resolution=size, convention=convention).macs
        for convention in ("fvcore", "paper")
    )
    fvcore -= sum(row.macs_fvcore for row in rows)
    paper -= sum(row.macs_paper for row in rows)
    moved = sum(interpolated) - sum(row.bytes for row in rows if row.operator == "interpolation")
    output = (spec.num_classes, *size)
    return [*rows, LayerCost("functional", "interpolation", 0, fvcore, paper, moved, output)]


def _backbone(spec: TaskSpec, size: tuple[int, int]) -> Iterator[LayerCost]:
    frozen = ["stem", *(f"stage{i + 1}" for i in range(spec.frozen_stages))]
    for row in layers(spec.backbone, size):
        part = row.name.partition(".")[0]
        if part not in ("pool", "head"):
            fixed = bool(spec.frozen_stages) and part in frozen
            params = 0 if fixed else row.params
            yield replace(row, name=f"backbone.{row.name}", params=params)


def _rest(spec: TaskSpec, size: tuple[int, int], interpolated: list[int]) -> Iterator[LayerCost]:
    """The rows; ``interpolated`` gets the bytes of every interpolation, in a row or not."""
    with torch.device("meta"):
        module = build_task(spec)
    calls = _calls(module, (1, spec.backbone.in_channels, *size), interpolated)
    for name, part in _units(module):
        own = calls[name]
        weights = sum(p.numel() for p in part.parameters())
        yield LayerCost(
            name,
            kind_of(part),
            sum(p.numel() for p in part.parameters() if p.requires_grad),
            sum(meta_macs(part, shape) for shape, _ in own),
            sum(module_macs(part, shape) for shape, _ in own),
            sum(FLOAT_BYTES * (weights + math.prod(x) + math.prod(y)) for x, y in own),
            _output(own),
        )


def _calls(module: nn.Module, shape: Shape, interpolated: list[int]) -> _Calls:
    """The shapes of input and output of every call of every unit."""
    calls: _Calls = defaultdict(list)

    def watch(name: str, part: nn.Module) -> Any:
        def see(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            calls[name].append((tuple(inputs[0].shape), tuple(output.shape)))

        return part.register_forward_hook(see)

    def see_interpolation(call: Call) -> None:
        if "upsample" in call.name:
            interpolated.append(FLOAT_BYTES * (call.arguments[0].numel() + call.output.numel()))

    hooks = [watch(name, part) for name, part in _units(module)]
    try:
        on_meta(module, shape, observer=Observer.of(see_interpolation))
    finally:
        for hook in hooks:
            hook.remove()
    return calls


def _units(module: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    """The layers outside of the backbone: what is neither one of our heads nor a list."""
    for name, part in module.named_children():
        path = f"{prefix}{name}"
        if path == "backbone":
            continue
        own = type(part).__module__.startswith("invsearch.models.")
        if own or isinstance(part, nn.ModuleList | nn.Sequential):
            yield from _units(part, f"{path}.")
        else:
            yield path, part


def _output(calls: list[tuple[Shape, Shape]]) -> tuple[int, int, int]:
    """(channels, height, width) of the first output; zeros for what never ran."""
    if not calls:
        return (0, 0, 0)
    channels, *size = calls[0][1][1:]
    height, width = size or (1, 1)
    return (channels, height, width)
