"""MobileNetV2 (Sandler et al., CVPR 2018): inverted residuals, depthwise unless told otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from invsearch.models.blocks import INVERTED_RESIDUAL
from invsearch.models.families.family import Family
from invsearch.models.network import NetworkSpec, StageSpec, StemSpec
from ops.hyperparameter import Hyperparameter, positive_int

if TYPE_CHECKING:
    from invsearch.space.architecture import Value

__all__ = ["FAMILY"]

_FORM = INVERTED_RESIDUAL.name


class _MobileNet(Family):
    def adapt(self, spec: NetworkSpec, settings: Mapping[str, Value]) -> NetworkSpec:
        """The first stage, which widens nothing, stays as it is."""
        expansion = int(settings["expansion"])
        first, *rest = spec.stages
        return replace(spec, stages=(first, *(replace(s, expansion=expansion) for s in rest)))


FAMILY = _MobileNet(
    name="mobilenet",
    title="MobileNetV2",
    operator="depthwise_convolution",
    defaults={"kernel_size": 3},
    form=INVERTED_RESIDUAL,
    stem=StemSpec("mobilenet", 32, pool=False),
    stages=(  # table 2: output channels, stride; then the expansion
        StageSpec(16, 1, (), _FORM, 1),
        StageSpec(24, 2, (), _FORM, 6),
        StageSpec(32, 2, (), _FORM, 6),
        StageSpec(64, 2, (), _FORM, 6),
        StageSpec(96, 1, (), _FORM, 6),
        StageSpec(160, 2, (), _FORM, 6),
        StageSpec(320, 1, (), _FORM, 6),
    ),
    presets={
        53: (1, 2, 3, 4, 3, 3, 1)
    },  # layers with weights: 3 a block, the first block 2, 3 ends
    settings={
        "expansion": Hyperparameter(
            6, check=positive_int, description="blocks that are wider inside"
        )
    },
    final_channels=1280,
    baselines={"MobileNetV2": 53},
)
