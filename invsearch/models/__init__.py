"""Networks: RedNet and ResNet around any registered operator, and the released checkpoints."""

from invsearch.models.build import Network, build, rednet, rednet_spec, resnet, resnet_spec
from invsearch.models.detectors import build_detector
from invsearch.models.network import BlockSpec, NetworkSpec, StageSpec, StemSpec
from invsearch.models.official import from_official
from invsearch.models.proxy import proxy_spec
from invsearch.models.resolve import FAMILIES, PRESETS, network_spec, problem
from invsearch.models.segmenters import build_segmenter
from invsearch.models.task import TaskSpec, detector_spec, searched_spec, segmenter_spec

__all__ = [
    "FAMILIES",
    "PRESETS",
    "BlockSpec",
    "Network",
    "NetworkSpec",
    "StageSpec",
    "StemSpec",
    "TaskSpec",
    "build",
    "build_detector",
    "build_segmenter",
    "detector_spec",
    "from_official",
    "network_spec",
    "problem",
    "proxy_spec",
    "rednet",
    "rednet_spec",
    "resnet",
    "resnet_spec",
    "searched_spec",
    "segmenter_spec",
]
