"""Family: networks of one shape, from which an architecture makes one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from invsearch.errors import InputError, nearest
from invsearch.models.arguments import checked
from invsearch.models.form import BlockForm
from invsearch.models.network import BlockSpec, NetworkSpec, StageSpec, StemSpec
from ops import registry
from ops.hyperparameter import Hyperparameter

if TYPE_CHECKING:
    from invsearch.space.architecture import Value

__all__ = ["Family", "scaled_width"]

WIDTH_MULTIPLE = 8
"""What widths are rounded to: He et al.'s and Sandler et al.'s divisor, and one AVX register."""


@dataclass(frozen=True)
class Family:
    """Networks of one shape.

    Attributes:
        name: In space files and on the command line.
        title: For people, such as ``RedNet``.
        operator: What is in its blocks unless a parameter names another.
        form: The form of its blocks.
        stem: The stem at width 1.
        stages: The stages at width 1, without their blocks.
        presets: Blocks of the stages by depth.
        defaults: Hyperparameters of ``operator`` that differ here from the operator's own.
        settings: What may be set for a whole network beside ``depth`` and ``width``. A family that
            has some says in :meth:`adapt` what they do.
        final_channels: At width 1; see :class:`NetworkSpec`.
        baselines: Depths that a search trains first, by the name that a report shows.
    """

    name: str
    title: str
    operator: str
    form: BlockForm
    stem: StemSpec
    stages: tuple[StageSpec, ...]
    presets: Mapping[int, tuple[int, ...]]
    defaults: Mapping[str, Value] = field(default_factory=dict)
    settings: Mapping[str, Hyperparameter] = field(default_factory=dict)
    final_channels: int = 0
    baselines: Mapping[str, int] = field(default_factory=dict)

    def network(
        self,
        blocks: Sequence[tuple[BlockSpec, ...]],
        width: float = 1.0,
        settings: Mapping[str, Value] | None = None,
        num_classes: int = 1000,
        in_channels: int = 3,
    ) -> NetworkSpec:
        """The member with these blocks.

        Args:
            blocks: Of each stage.
            width: Multiplier of every width; widths are rounded to a multiple of 8.
            settings: Some of ``settings``, by name.
            num_classes: Width of the linear head; 0: none.
            in_channels: Channels of the images.

        Raises:
            InputError: If one of them is impossible.
        """
        spec = self.skeleton(width, settings)
        stages = tuple(
            replace(stage, blocks=own) for stage, own in zip(spec.stages, blocks, strict=True)
        )
        return replace(spec, stages=stages, num_classes=num_classes, in_channels=in_channels)

    def skeleton(
        self, width: float = 1.0, settings: Mapping[str, Value] | None = None
    ) -> NetworkSpec:
        """The network without its blocks.

        Raises:
            InputError: If the width or a setting is impossible.
        """
        width = checked("width", width)
        given = {
            name: checked(name, value, self._setting(name))
            for name, value in (settings or {}).items()
        }
        complete = {name: given.get(name, s.default) for name, s in self.settings.items()}
        stem = replace(self.stem, channels=scaled_width(self.stem.channels, width))
        stages = tuple(replace(s, width=scaled_width(s.width, width)) for s in self.stages)
        final = scaled_width(self.final_channels, width) if self.final_channels else 0
        return self.adapt(NetworkSpec(stem, stages, final_channels=final), complete)

    def whole(self, depth: int) -> dict[str, Value]:
        """The settings of the member of this depth around the family's own operator."""
        own = registry.get(self.operator).complete(self.defaults)
        own |= {name: known.default for name, known in self.settings.items()}
        stem = "involution" if self.stem.kind == "rednet" else "convolution"
        about = {"width": 1.0, "operator": self.operator, "stem": stem}
        return {**about, **own, "family": self.name, "depth": depth}

    def _setting(self, name: str) -> Hyperparameter:
        if name not in self.settings:
            known = list(self.settings)
            raise InputError(
                f"{self.name} has no setting {name!r}{nearest(name, known)}: it has {known}"
            )
        return self.settings[name]

    def adapt(self, spec: NetworkSpec, settings: Mapping[str, Value]) -> NetworkSpec:
        """The network with the family's own settings, of which all are given."""
        return spec

    def operator_channels(self, spec: NetworkSpec, stage: int) -> tuple[int, int]:
        """What the operators of a stage of :meth:`skeleton` see: of its first block, of others."""
        own = spec.stages[stage - 1]
        before = spec.stages[stage - 2].out_channels if stage > 1 else spec.stem.channels
        return (
            self.form.inner_channels(own, before),
            self.form.inner_channels(own, own.out_channels),
        )

    @property
    def pyramidal(self) -> bool:
        """Whether its stages are the levels 4, 8, 16, 32 that detectors and segmenters take."""
        reduced = self.stem.stride * (2 if self.stem.pool else 1)
        return (reduced, *(stage.stride for stage in self.stages)) == (4, 1, 2, 2, 2)

    def shares_stages(self, other: Family) -> bool:
        """Whether one space can hold both: their stages and depths are named alike."""
        return len(self.stages) == len(other.stages) and self.presets == other.presets


def scaled_width(base: int, factor: float, multiple: int = WIDTH_MULTIPLE) -> int:
    """``base * factor`` rounded to the nearest multiple (half up), at least one multiple."""
    return max(multiple, int(base * factor / multiple + 0.5) * multiple)
