"""Build networks: from a NetworkSpec, or a member of a family by its depth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from invsearch.errors import InputError
from invsearch.models.arguments import checked, shown
from invsearch.models.ends import classifier, final_convolution
from invsearch.models.ends import global_pool as _pool
from invsearch.models.initialise import initialise, initialise_linear
from invsearch.models.network import NetworkSpec, Place
from invsearch.models.resolve import known_family, network_spec

if TYPE_CHECKING:
    from invsearch.space.architecture import Value

    StageSettings = Mapping[str, Value]

__all__ = ["Network", "build", "family_spec", "rednet", "rednet_spec", "resnet", "resnet_spec"]

_ANY_SIZE = (1, 1)  # modules do not depend on the size of the images


class Network(nn.Module):
    """A network: stem, stages, global pool, linear head.

    Args:
        spec: What to build.

    Attributes:
        spec: What it is now; :meth:`reset_classifier` changes it.

    Raises:
        InputError: If an operator cannot have the width of its block.
    """

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        self.spec = spec
        stem = spec.stem_place(*_ANY_SIZE).part
        self.stem = stem.form.build(stem)
        stages: list[list[nn.Module]] = [[] for _ in spec.stages]
        for place, _ in spec.blocks():
            stages[place.stage - 1].append(place.part.form.build(place.part))
        self.stages = nn.ModuleList(nn.Sequential(*blocks) for blocks in stages)
        channels = spec.stages[-1].out_channels
        self.final = final_convolution(channels, spec.final_channels)
        self.pool = _pool(spec.global_pool)
        self.head = classifier(spec.num_features, spec.num_classes)
        initialise(self)

    @property
    def num_classes(self) -> int:
        """Width of the linear head; 0 where there is none."""
        return self.spec.num_classes

    @property
    def num_features(self) -> int:
        """Channels of :meth:`forward_features`, and width of the vector that the head takes."""
        return self.spec.num_features

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W) -> logits (B, num_classes).

        Without classes the pooled features (B, num_features); without pooling too the last feature
        map.
        """
        return self.forward_head(self.forward_features(images))

    def forward_features(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W) -> the last feature map (B, num_features, h, w)."""
        x = self.stem(images)
        for stage in self.stages:
            x = stage(x)
        features: Tensor = self.final(x)
        return features

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """What :meth:`forward` makes of the last feature map.

        Args:
            x: (B, num_features, h, w).
            pre_logits: Whether to stop before the linear head, at (B, num_features).
        """
        pooled = self.pool(x)
        if self.spec.global_pool:
            pooled = pooled.flatten(1)
        result: Tensor = pooled if pre_logits else self.head(pooled)
        return result

    def get_classifier(self) -> nn.Module:
        """The linear head; an ``nn.Identity`` where there is none."""
        return self.head

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Give the network a new head, freshly initialised, in place.

        Args:
            num_classes: Its width; 0 takes the head away.
            global_pool: ``avg``, ``max``, or empty for none (with no head alone); None keeps it.

        Raises:
            InputError: If one of them is impossible; the network is then as it was.
        """
        pool = self.spec.global_pool if global_pool is None else global_pool
        spec = replace(self.spec, num_classes=num_classes, global_pool=pool)
        head = classifier(spec.num_features, spec.num_classes)
        initialise_linear(head)
        like = next(self.parameters())
        self.spec, self.pool = spec, _pool(spec.global_pool).train(self.training)
        self.head = head.to(like.device, like.dtype).train(self.training)

    def layers(self) -> Iterator[tuple[str, nn.Module]]:
        """What each row of :func:`invsearch.cost.layers` runs, by its name."""
        for place in self.spec.walk(*_ANY_SIZE):
            for name, module in place.part.form.modules(place.part, self._at(place)):
                yield place.layer_name(name), module

    def _at(self, place: Place) -> nn.Module:
        if place.part.kind == "head":
            flatten = nn.Flatten(1) if self.spec.global_pool else nn.Identity()
            return nn.Sequential(self.final, self.pool, flatten, self.head)
        if place.part.kind == "stem":
            return self.stem
        stage = self.stages[place.stage - 1]
        assert isinstance(stage, nn.Sequential)
        return stage[place.block - 1]


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
    global_pool: str = "avg",
    width: float = 1.0,
    stages: Sequence[StageSettings] | None = None,
    **settings: Value,
) -> Network:
    """Build a RedNet: ResNet bottlenecks around involution, with an involution in the stem.

    Args:
        depth: 26, 38, 50, 101 or 152; None if every entry of ``stages`` gives its ``blocks``.
        num_classes: Width of the linear head; 0: none, the output is the pooled features.
        stem_kernel_size: Kernel size of the stem's involution: 7 counts as the paper's tables do,
            3 is what the released classification code builds.
        in_channels: Channels of the images.
        global_pool: ``avg``, ``max``, or empty: the last feature map as it is (with no classes).
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
        global_pool=global_pool,
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
    global_pool: str = "avg",
    width: float = 1.0,
    stages: Sequence[StageSettings] | None = None,
    **settings: Value,
) -> Network:
    """Build a ResNet with the stride on the 3x3 convolution.

    Args:
        depth: 26, 38 (with RedNet's block counts), 50, 101 or 152; None as for :func:`rednet`.
        num_classes: Width of the linear head; 0: none, the output is the pooled features.
        deep_stem: Three 3x3 convolutions (32, 32, 64) in place of the 7x7.
        in_channels: Channels of the images.
        global_pool: ``avg``, ``max``, or empty: the last feature map as it is (with no classes).
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
        global_pool=global_pool,
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
    return family_spec("rednet", depth, stages=stages, **settings)


def resnet_spec(
    depth: int | None = 50,
    *,
    deep_stem: bool = False,
    stages: Sequence[StageSettings] | None = None,
    **settings: Any,
) -> NetworkSpec:
    """The spec of :func:`resnet`, which see for the arguments."""
    spec = family_spec("resnet", depth, stages=stages, **settings)
    deep_stem = checked("deep_stem", deep_stem)
    return replace(spec, stem=replace(spec.stem, kind="deep")) if deep_stem else spec


def family_spec(
    family: str,
    depth: int | None = None,
    *,
    stages: Sequence[StageSettings] | None = None,
    **settings: Any,
) -> NetworkSpec:
    """A member of any family, with the arguments of :func:`rednet`.

    Raises:
        InputError: If a name or a value is unknown or impossible.
    """
    number = len(known_family(family).stages)
    return network_spec({"family": family, **settings}, _parameters(number, depth, stages))


def _parameters(
    number: int, depth: int | None, stages: Sequence[StageSettings] | None
) -> dict[str, Value]:
    if stages is not None:
        if not _are_settings(stages):
            raise InputError(f"stages is {shown(stages)}: give {number} mappings, one a stage")
        if len(stages) != number:
            raise InputError(f"stages has {len(stages)} entries: give one for each of the {number}")
    parameters: dict[str, Value] = {"depth": "custom" if depth is None else depth}
    for place, stage in enumerate(stages or (), start=1):
        parameters.update({f"stage{place}.{name}": value for name, value in stage.items()})
    return parameters


def _are_settings(stages: object) -> bool:
    if not isinstance(stages, Sequence) or isinstance(stages, str | bytes):
        return False
    return all(isinstance(stage, Mapping) for stage in stages)
