"""Networks: families around any registered operator, and the released checkpoints."""

from invsearch.models.build import (
    Network,
    build,
    family_spec,
    rednet,
    rednet_spec,
    resnet,
    resnet_spec,
)
from invsearch.models.detectors import build_detector
from invsearch.models.families import FAMILIES, Family
from invsearch.models.families.resnet import PRESETS
from invsearch.models.module import ModuleSpec
from invsearch.models.network import BlockSpec, NetworkSpec, Part, Place, StageSpec, StemSpec
from invsearch.models.official import from_official
from invsearch.models.portable import portable
from invsearch.models.problem import problem
from invsearch.models.proxy import proxy_spec, proxy_task
from invsearch.models.resolve import network_spec
from invsearch.models.searched import SearchedSpec, build_searched, spec_from_json
from invsearch.models.segmenters import build_segmenter
from invsearch.models.task import TaskSpec, detector_spec, searched_spec, segmenter_spec
from invsearch.models.timm_models import import_timm

__all__ = [
    "FAMILIES",
    "PRESETS",
    "BlockSpec",
    "Family",
    "ModuleSpec",
    "Network",
    "NetworkSpec",
    "Part",
    "Place",
    "SearchedSpec",
    "StageSpec",
    "StemSpec",
    "TaskSpec",
    "build",
    "build_detector",
    "build_searched",
    "build_segmenter",
    "detector_spec",
    "family_spec",
    "from_official",
    "import_timm",
    "network_spec",
    "portable",
    "problem",
    "proxy_spec",
    "proxy_task",
    "rednet",
    "rednet_spec",
    "resnet",
    "resnet_spec",
    "searched_spec",
    "segmenter_spec",
    "spec_from_json",
]
