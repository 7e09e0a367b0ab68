"""What a search is about, whichever it is: a network, or the detector or segmenter around it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from invsearch.models.build import build
from invsearch.models.detectors import build_detector
from invsearch.models.network import NetworkSpec
from invsearch.models.segmenters import build_segmenter
from invsearch.models.task import DETECTORS, TaskSpec

__all__ = ["build_searched", "build_task", "spec_from_json"]


def build_searched(spec: NetworkSpec | TaskSpec) -> nn.Module:
    """Build what a spec describes, freshly initialised.

    Raises:
        InputError: If an operator cannot have its width.
    """
    return build_task(spec) if isinstance(spec, TaskSpec) else build(spec)


def build_task(spec: TaskSpec) -> nn.Module:
    """Build a detector (1000 box regions, 100 mask regions) or a segmenter.

    Raises:
        InputError: If an operator cannot have its width.
    """
    return build_detector(spec) if spec.task in DETECTORS else build_segmenter(spec)


def spec_from_json(data: Mapping[str, Any]) -> NetworkSpec | TaskSpec:
    """The inverse of either spec's ``to_json``, also after a trip through JSON text."""
    return TaskSpec.from_json(data) if "task" in data else NetworkSpec.from_json(data)
