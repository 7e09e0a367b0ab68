"""Networks: RedNet and ResNet around any registered operator, and the released checkpoints."""

from invsearch.models.build import Network, build, rednet, rednet_spec, resnet, resnet_spec
from invsearch.models.network import BlockSpec, NetworkSpec, StageSpec, StemSpec
from invsearch.models.official import from_official
from invsearch.models.proxy import proxy_spec
from invsearch.models.resolve import FAMILIES, PRESETS, network_spec, problem

__all__ = [
    "FAMILIES",
    "PRESETS",
    "BlockSpec",
    "Network",
    "NetworkSpec",
    "StageSpec",
    "StemSpec",
    "build",
    "from_official",
    "network_spec",
    "problem",
    "proxy_spec",
    "rednet",
    "rednet_spec",
    "resnet",
    "resnet_spec",
]
