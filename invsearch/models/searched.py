"""What a search is about: a network, the detector or segmenter around it, or somebody else's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from invsearch.models.build import build
from invsearch.models.detectors import build_detector
from invsearch.models.module import ModuleSpec, build_module, build_shapes
from invsearch.models.network import NetworkSpec
from invsearch.models.segmenters import build_segmenter
from invsearch.models.task import DETECTORS, TaskSpec

__all__ = ["SearchedSpec", "build_searched", "build_task", "searched_shapes", "spec_from_json"]

SearchedSpec = NetworkSpec | TaskSpec | ModuleSpec


def build_searched(spec: SearchedSpec) -> nn.Module:
    """Build what a spec describes, freshly initialised.

    Raises:
        InputError: If an operator cannot have its width, or somebody's builder fails.
    """
    if isinstance(spec, ModuleSpec):
        return build_module(spec)
    return build_task(spec) if isinstance(spec, TaskSpec) else build(spec)


def searched_shapes(spec: SearchedSpec) -> nn.Module:
    """Build it for its shapes alone: on the meta device, where a builder allows it.

    Raises:
        InputError: As :func:`build_searched`.
    """
    if isinstance(spec, ModuleSpec):
        return build_shapes(spec)
    with torch.device("meta"):
        return build_searched(spec)


def build_task(spec: TaskSpec) -> nn.Module:
    """Build a detector (1000 box regions, 100 mask regions) or a segmenter.

    Raises:
        InputError: If an operator cannot have its width.
    """
    return build_detector(spec) if spec.task in DETECTORS else build_segmenter(spec)


def spec_from_json(data: Mapping[str, Any]) -> SearchedSpec:
    """The inverse of any spec's ``to_json``, also after a trip through JSON text."""
    if "builder" in data:
        return ModuleSpec.from_json(data)
    return TaskSpec.from_json(data) if "task" in data else NetworkSpec.from_json(data)
