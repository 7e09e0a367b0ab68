"""ResNet: bottlenecks around 3x3 convolutions, the stride on the convolution."""

from __future__ import annotations

from collections.abc import Mapping

from invsearch.models.blocks import BOTTLENECK
from invsearch.models.families.family import Family
from invsearch.models.network import StageSpec, StemSpec

__all__ = ["FAMILY", "PRESETS", "STAGES"]

PRESETS: Mapping[int, tuple[int, ...]] = {
    26: (1, 2, 4, 1),
    38: (2, 3, 5, 2),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}
"""Blocks of the four stages by depth (the paper's RedNets; ResNets have the same)."""

STAGES = (StageSpec(64, 1, ()), StageSpec(128, 2, ()), StageSpec(256, 2, ()), StageSpec(512, 2, ()))
"""He et al., CVPR 2016, table 1: channels inside the bottlenecks, strides."""

FAMILY = Family(
    name="resnet",
    title="ResNet",
    operator="convolution",
    form=BOTTLENECK,
    stem=StemSpec("resnet"),
    stages=STAGES,
    presets=PRESETS,
    baselines={"ResNet-26": 26, "ResNet-50": 50},
)
