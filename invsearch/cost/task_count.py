"""Params and MACs of detectors and segmenters: the backbone in closed form, the rest cached."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

import torch

from invsearch.cost.closed_form import Convention, Counts, count
from invsearch.cost.meta_trace import meta_macs
from invsearch.cost.module_count import module_count
from invsearch.cost.modules import module_macs
from invsearch.models.module import ModuleSpec
from invsearch.models.network import BlockSpec, NetworkSpec, StageSpec, StemSpec
from invsearch.models.searched import SearchedSpec, build_task
from invsearch.models.task import DETECTORS, TaskSpec

__all__ = [
    "DETECTION_SIZE",
    "SEGMENTATION_SIZE",
    "build_task",
    "searched_count",
    "searched_shape",
    "task_count",
    "task_size",
]

DETECTION_SIZE = (800, 1280)
"""(height, width) of the images that the paper's detection costs are for."""

SEGMENTATION_SIZE = (1024, 2048)
"""The same of its segmentation costs."""

# the 3x3 convolution that the paper's heads replace
_CONVOLUTION = BlockSpec("convolution", (("dilation", 1), ("kernel_size", 3)))

Size = tuple[int, int]


class _Half(NamedTuple):
    """What the backbone, or all the rest, costs."""

    params: int
    macs: int


def task_size(task: str) -> Size:
    """(height, width) of the images that the paper's costs of a task are for."""
    return DETECTION_SIZE if task in DETECTORS else SEGMENTATION_SIZE


def task_count(
    spec: TaskSpec, *, resolution: Size | None = None, convention: Convention = "fvcore"
) -> Counts:
    """Count a detector's or a segmenter's trainable parameters and the MACs of one image.

    The backbone is counted in closed form; neck and head are counted once on the meta device for
    each combination of their settings, the stages' widths and the image's size, and kept.

    Args:
        spec: What to count.
        resolution: (height, width) of the image, in pixels; default: the paper's for the task.
        convention: ``fvcore`` (as :func:`invsearch.cost.trace_macs`) or ``paper`` (as
            :func:`invsearch.cost.module_macs`, every module included).

    Returns:
        The counts; exact. ``params`` are the trainable ones, without frozen stages, and include
        what only training uses.

    Raises:
        InputError: If an operator cannot have its width, or the convention is unknown.
    """
    size = resolution or task_size(spec.task)
    backbone = spec.backbone
    own = _features(backbone, size, convention)
    rest = _rest(replace(spec, backbone=_reference(backbone)), size, convention)
    stages = backbone.stages[: spec.frozen_stages]
    frozen = _frozen_params(backbone.stem, stages, backbone.in_channels) if stages else 0
    return Counts(own.params - frozen + rest.params, own.macs + rest.macs, convention)


def searched_shape(spec: SearchedSpec, resolution: int) -> tuple[int, int, int, int]:
    """Shape of the image that a searched network's costs are for.

    A classifier's is square with this resolution; a detector's or segmenter's is the paper's.
    """
    if isinstance(spec, TaskSpec):
        return (1, spec.backbone.in_channels, *task_size(spec.task))
    return (1, spec.in_channels, resolution, resolution)


def searched_count(
    spec: SearchedSpec, *, resolution: int = 224, convention: Convention = "fvcore"
) -> Counts:
    """:func:`count` or one of its kin, at the size that :func:`searched_shape` says."""
    if isinstance(spec, ModuleSpec):
        return module_count(spec, (resolution, resolution), convention)
    if isinstance(spec, TaskSpec):
        return task_count(spec, convention=convention)
    return count(spec, resolution=resolution, convention=convention)


def _features(spec: NetworkSpec, size: Size, convention: Convention) -> _Half:
    """A network's cost up to its last stage: without global pooling and linear head."""
    counts = count(spec, resolution=size, convention=convention, head=False)
    return _Half(counts.params, counts.macs)


def _reference(spec: NetworkSpec) -> NetworkSpec:
    """The cheapest network whose stages put out the same shapes."""
    stages = tuple(replace(stage, blocks=(_CONVOLUTION,)) for stage in spec.stages)
    stem = replace(spec.stem, kind="resnet", kernel_size=7)
    return NetworkSpec(stem, stages, 1, spec.in_channels)


@lru_cache(maxsize=4096)
def _rest(spec: TaskSpec, size: Size, convention: Convention) -> _Half:
    """Neck and head: all of a shallow network's cost, less its backbone's."""
    with torch.device("meta"):
        module = build_task(replace(spec, frozen_stages=0))
    params = sum(parameter.numel() for parameter in module.parameters())
    shape = (1, spec.backbone.in_channels, *size)
    own = _features(spec.backbone, size, convention)
    macs = (module_macs if convention == "paper" else meta_macs)(module, shape)
    return _Half(params - own.params, macs - own.macs)


@lru_cache(maxsize=65536)  # a frozen stem and stage for each of a large search's
def _frozen_params(stem: StemSpec, stages: tuple[StageSpec, ...], in_channels: int) -> int:
    return count(NetworkSpec(stem, stages, 1, in_channels), resolution=32, head=False).params
