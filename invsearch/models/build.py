"""Build networks: from a NetworkSpec, or RedNet and ResNet by depth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from invsearch.errors import InputError
from invsearch.models.blocks import EXPANSION, Bottleneck, initialise, stem
from invsearch.models.network import NetworkSpec, StageSpec
from invsearch.models.resolve import NUM_STAGES, network_spec

if TYPE_CHECKING:
    from invsearch.space.architecture import Value

    StageSettings = Mapping[str, Value]

__all__ = ["Network", "build", "rednet", "rednet_spec", "resnet", "resnet_spec"]


class Network(nn.Module):
    """A bottleneck network: stem, stages, global average pool, linear head.

    Args:
        spec: What to build.

    Raises:
        InputError: If an operator cannot have the width of its block.
    """

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        self.spec = spec
        self.stem = stem(spec.stem, spec.in_channels)
        channels, stages = spec.stem.channels, []
        for stage in spec.stages:
            stages.append(_stage(channels, stage))
            channels = EXPANSION * stage.width
        self.stages = nn.ModuleList(stages)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(channels, spec.num_classes)
        initialise(self)

    def forward_features(self, images: Tensor) -> tuple[Tensor, ...]:
        """Images (B, C, H, W) -> the output of each stage, (B, 4 * width, h, w)."""
        outputs, x = [], self.stem(images)
        for stage in self.stages:
            x = stage(x)
            outputs.append(x)
        return tuple(outputs)

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W) -> logits (B, num_classes)."""
        x = self.stem(images)
        for stage in self.stages:
            x = stage(x)
        logits: Tensor = self.head(self.pool(x).flatten(1))
        return logits


def build(spec: NetworkSpec) -> Network:
    """Build the network that a spec describes, freshly initialised.

    Raises:
        InputError: If an operator is not registered or cannot have the width of its block.
    """
    return Network(spec)


def rednet(
    depth: int | None = 50,
    *,
    num_classes: int = 1000,
    stem_kernel_size: int = 7,
    in_channels: int = 3,
    width: float = 1.0,
    stages: Sequence[StageSettings] | None = None,
    **settings: Value,
) -> Network:
    """Build a RedNet: ResNet bottlenecks around involution, with an involution in the stem.

    Args:
        depth: 26, 38, 50, 101 or 152; None if every entry of ``stages`` gives its ``blocks``.
        num_classes: Width of the linear head.
        stem_kernel_size: Kernel size of the stem's involution: 7 counts as the paper's tables do,
            3 is what the released classification code builds.
        in_channels: Channels of the images.
        width: Multiplier of every width.
        stages: One mapping for each of the four stages: ``blocks``, ``operator``, any
            hyperparameter, and ``blockN.operator`` and so on for single blocks.
        **settings: ``operator`` and hyperparameters for every block.

    Returns:
        A module whose forward takes images (B, in_channels, H, W) to logits (B, num_classes).

    Raises:
        InputError: If a name or a value is unknown or impossible.
    """
    spec = rednet_spec(
        depth,
        num_classes=num_classes,
        stem_kernel_size=stem_kernel_size,
        in_channels=in_channels,
        width=width,
        stages=stages,
        **settings,
    )
    return build(spec)


def resnet(
    depth: int | None = 50,
    *,
    num_classes: int = 1000,
    deep_stem: bool = False,
    in_channels: int = 3,
    width: float = 1.0,
    stages: Sequence[StageSettings] | None = None,
    **settings: Value,
) -> Network:
    """Build a ResNet with the stride on the 3x3 convolution.

    Args:
        depth: 26, 38 (with RedNet's block counts), 50, 101 or 152; None as for :func:`rednet`.
        num_classes: Width of the linear head.
        deep_stem: Three 3x3 convolutions (32, 32, 64) in place of the 7x7.
        in_channels: Channels of the images.
        width: Multiplier of every width.
        stages: As for :func:`rednet`.
        **settings: ``operator`` and hyperparameters for every block.

    Returns:
        A module whose forward takes images (B, in_channels, H, W) to logits (B, num_classes).

    Raises:
        InputError: If a name or a value is unknown or impossible.
    """
    spec = resnet_spec(
        depth,
        num_classes=num_classes,
        deep_stem=deep_stem,
        in_channels=in_channels,
        width=width,
        stages=stages,
        **settings,
    )
    return build(spec)


def rednet_spec(
    depth: int | None = 50,
    *,
    stages: Sequence[StageSettings] | None = None,
    **settings: Any,
) -> NetworkSpec:
    """The spec of :func:`rednet`, which see for the arguments."""
    return network_spec({"family": "rednet", **settings}, _parameters(depth, stages))


def resnet_spec(
    depth: int | None = 50,
    *,
    deep_stem: bool = False,
    stages: Sequence[StageSettings] | None = None,
    **settings: Any,
) -> NetworkSpec:
    """The spec of :func:`resnet`, which see for the arguments."""
    spec = network_spec({"family": "resnet", **settings}, _parameters(depth, stages))
    return replace(spec, stem=replace(spec.stem, kind="deep")) if deep_stem else spec


def _parameters(depth: int | None, stages: Sequence[StageSettings] | None) -> dict[str, Value]:
    if stages is not None and len(stages) != NUM_STAGES:
        raise InputError(f"stages has {len(stages)} entries: give one for each of the {NUM_STAGES}")
    parameters: dict[str, Value] = {"depth": "custom" if depth is None else depth}
    for number, stage in enumerate(stages or (), start=1):
        parameters.update({f"stage{number}.{name}": value for name, value in stage.items()})
    return parameters


def _stage(in_channels: int, spec: StageSpec) -> nn.Sequential:
    first, *others = spec.blocks
    out_channels = EXPANSION * spec.width
    return nn.Sequential(
        Bottleneck(in_channels, spec.width, spec.stride, first),
        *(Bottleneck(out_channels, spec.width, 1, block) for block in others),
    )
