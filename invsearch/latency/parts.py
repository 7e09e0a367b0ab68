"""The parts of a network that are timed alone: its stem, its blocks and its head."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, Literal

from invsearch.models.blocks import EXPANSION
from invsearch.models.network import BlockSpec, NetworkSpec, StageSpec, StemSpec

if TYPE_CHECKING:
    from torch import nn

__all__ = ["Part", "build_part", "network_parts"]


@dataclass(frozen=True)
class Part:
    """A piece of a network that takes as long wherever it stands.

    Attributes:
        kind: ``stem``, ``block`` (a residual bottleneck) or ``head`` (pooling and linear layer).
        shape: (channels, height, width) of one image's input.
        outputs: Channels inside the bottleneck, output channels of the stem, or classes.
        stride: Of a bottleneck; 1 for the others.
        block: The bottleneck's operator.
        stem: The stem's settings.
    """

    kind: Literal["stem", "block", "head"]
    shape: tuple[int, int, int]
    outputs: int
    stride: int = 1
    block: BlockSpec | None = None
    stem: StemSpec | None = None

    @cached_property
    def name(self) -> str:
        """Everything above in words: two parts of one name are equal."""
        size = "x".join(map(str, self.shape))
        if self.block is not None:
            settings = ", ".join(f"{name}={value}" for name, value in self.block.hyperparameters)
            where = f"width {self.outputs}, stride {self.stride}, on {size}"
            return f"block {self.block.operator}({settings}), {where}"
        if self.stem is not None:
            settings = ", ".join(f"{name}={value}" for name, value in vars(self.stem).items())
            return f"stem({settings}), on {size}"
        return f"head, {self.outputs} classes, on {size}"

    def to_json(self) -> dict[str, Any]:
        """The part as plain data."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Part:
        """The inverse of :meth:`to_json`, also after a trip through JSON text."""
        block, stem = data["block"], data["stem"]
        if block is not None:
            pairs = tuple((name, value) for name, value in block["hyperparameters"])
            block = BlockSpec(block["operator"], pairs)
        channels, height, width = data["shape"]
        return cls(
            data["kind"],
            (channels, height, width),
            data["outputs"],
            data["stride"],
            block,
            StemSpec(**stem) if stem is not None else None,
        )


def network_parts(spec: NetworkSpec, height: int, width: int) -> Iterator[Part]:
    """The parts of a network on images of height x width pixels, in the order of the pass."""
    stem = spec.stem
    yield Part("stem", (spec.in_channels, height, width), stem.channels, stem=stem)
    for stride in (stem.stride, 2 if stem.pool else 1):
        height, width = -(-height // stride), -(-width // stride)
    channels = stem.channels
    for stage in spec.stages:
        yield from stage_parts(channels, stage, height, width)
        channels = EXPANSION * stage.width
        height, width = -(-height // stage.stride), -(-width // stage.stride)
    yield Part("head", (channels, height, width), spec.num_classes)


@lru_cache(maxsize=65536)
def stage_parts(channels: int, stage: StageSpec, height: int, width: int) -> tuple[Part, ...]:
    """The blocks of a stage whose input is (channels, height, width)."""
    found, stride = [], stage.stride
    for block in stage.blocks:
        found.append(Part("block", (channels, height, width), stage.width, stride, block))
        height, width = -(-height // stride), -(-width // stride)
        channels, stride = EXPANSION * stage.width, 1
    return tuple(found)


def build_part(part: Part) -> nn.Module:
    """Build a part as a network has it: (B, *shape) -> whatever follows it takes."""
    from torch import nn

    from invsearch.models import blocks

    channels = part.shape[0]
    if part.block is not None:
        return blocks.Bottleneck(channels, part.outputs, part.stride, part.block)
    if part.stem is not None:
        return blocks.stem(part.stem, channels)
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, part.outputs))
