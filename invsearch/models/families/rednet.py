"""RedNet: ResNet's bottlenecks around involution, with an involution in the stem."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from invsearch.models.blocks import BOTTLENECK
from invsearch.models.families.family import Family
from invsearch.models.families.resnet import FAMILY as RESNET
from invsearch.models.families.resnet import PRESETS, STAGES
from invsearch.models.network import NetworkSpec, StemSpec
from ops.hyperparameter import Hyperparameter, odd_size

if TYPE_CHECKING:
    from invsearch.space.architecture import Value

__all__ = ["FAMILY"]


class _RedNet(Family):
    def adapt(self, spec: NetworkSpec, settings: Mapping[str, Value]) -> NetworkSpec:
        """The stem of convolution is ResNet's; the stages are the same in both."""
        if settings["stem"] == "convolution":
            return replace(spec, stem=replace(RESNET.stem, channels=spec.stem.channels))
        return replace(spec, stem=replace(spec.stem, kernel_size=int(settings["stem_kernel_size"])))


FAMILY = _RedNet(
    name="rednet",
    title="RedNet",
    operator="involution",
    form=BOTTLENECK,
    stem=StemSpec("rednet"),
    stages=STAGES,
    presets=PRESETS,
    settings={
        "stem_kernel_size": Hyperparameter(
            7,  # counts as the paper's tables do; 3 is what its released code builds
            check=odd_size,
            description="a stem with a kernel",
        ),
        "stem": Hyperparameter(
            "involution",
            ("involution", "convolution"),
            description="an involution in the stem, or one 7x7 convolution in place of it",
        ),
    },
    baselines={"RedNet-26": 26, "RedNet-38": 38, "RedNet-50": 50},
)
