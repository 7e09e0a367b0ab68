"""Params and MACs of detectors and segmenters: the backbone in closed form, the rest cached."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import torch

from invsearch.cost.closed_form import Convention, Counts, count, layers
from invsearch.cost.meta_trace import meta_macs
from invsearch.cost.modules import module_macs
from invsearch.models.blocks import EXPANSION
from invsearch.models.network import BlockSpec, NetworkSpec, StageSpec, StemSpec
from invsearch.models.task import DETECTORS, TaskSpec

if TYPE_CHECKING:
    from torch import nn

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


class _Part(NamedTuple):
    params: int
    macs: int


def task_size(task: str) -> Size:
    """(height, width) of the images that the paper's costs of a task are for."""
    return DETECTION_SIZE if task in DETECTORS else SEGMENTATION_SIZE


def build_task(spec: TaskSpec) -> nn.Module:
    """Build a detector (1000 box regions, 100 mask regions) or a segmenter.

    Raises:
        InputError: If an operator cannot have its width.
    """
    from invsearch.models.detectors import build_detector
    from invsearch.models.segmenters import build_segmenter

    return build_detector(spec) if spec.task in DETECTORS else build_segmenter(spec)


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
    frozen = _frozen_params(backbone, spec.frozen_stages) if spec.frozen_stages else 0
    return Counts(own.params - frozen + rest.params, own.macs + rest.macs, convention)


def searched_shape(spec: NetworkSpec | TaskSpec, resolution: int) -> tuple[int, int, int, int]:
    """Shape of the image that a searched network's costs are for.

    A classifier's is square with this resolution; a detector's or segmenter's is the paper's.
    """
    if isinstance(spec, TaskSpec):
        return (1, spec.backbone.in_channels, *task_size(spec.task))
    return (1, spec.in_channels, resolution, resolution)


def searched_count(
    spec: NetworkSpec | TaskSpec, *, resolution: int = 224, convention: Convention = "fvcore"
) -> Counts:
    """:func:`count` or :func:`task_count`, at the size that :func:`searched_shape` says."""
    if isinstance(spec, TaskSpec):
        return task_count(spec, convention=convention)
    return count(spec, resolution=resolution, convention=convention)


def _features(spec: NetworkSpec, size: Size, convention: Convention) -> _Part:
    """A network's cost up to its last stage: without global pooling and linear head."""
    whole = count(spec, resolution=size, convention=convention)
    channels = EXPANSION * spec.stages[-1].width
    height, width = _last_size(spec, size)
    head = channels * spec.num_classes
    macs = whole.macs - channels * height * width - (head if convention == "fvcore" else 0)
    return _Part(whole.params - head - spec.num_classes, macs)


def _last_size(spec: NetworkSpec, size: Size) -> Size:
    strides = [spec.stem.stride, 2 if spec.stem.pool else 1, *(s.stride for s in spec.stages)]
    height, width = size
    for stride in strides:
        height, width = -(-height // stride), -(-width // stride)
    return height, width


def _reference(spec: NetworkSpec) -> NetworkSpec:
    return _shallow(spec.stem, tuple((s.width, s.stride) for s in spec.stages), spec.in_channels)


@lru_cache(maxsize=1024)
def _shallow(stem: StemSpec, stages: tuple[tuple[int, int], ...], in_channels: int) -> NetworkSpec:
    """The cheapest network whose stages put out the same shapes."""
    blocks = tuple(StageSpec(width, stride, (_CONVOLUTION,)) for width, stride in stages)
    return NetworkSpec(replace(stem, kind="resnet", kernel_size=7), blocks, 1, in_channels)


@lru_cache(maxsize=4096)
def _rest(spec: TaskSpec, size: Size, convention: Convention) -> _Part:
    """Neck and head: all of a shallow network's cost, less its backbone's."""
    with torch.device("meta"):
        module = build_task(replace(spec, frozen_stages=0))
    params = sum(parameter.numel() for parameter in module.parameters())
    shape = (1, spec.backbone.in_channels, *size)
    own = _features(spec.backbone, size, convention)
    macs = (module_macs if convention == "paper" else meta_macs)(module, shape)
    return _Part(params - own.params, macs - own.macs)


def _frozen_params(spec: NetworkSpec, stages: int) -> int:
    return _params_of(spec.stem, spec.stages[:stages], spec.in_channels)


@lru_cache(maxsize=65536)
def _params_of(stem: StemSpec, stages: tuple[StageSpec, ...], in_channels: int) -> int:
    rows = layers(NetworkSpec(stem, stages, 1, in_channels), 32)
    return sum(row.params for row in rows if row.name not in ("pool", "head"))
