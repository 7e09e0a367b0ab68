"""NetworkSpec: a bottleneck network as plain data, from which it is built and counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from invsearch.space.architecture import Value

__all__ = ["BlockSpec", "NetworkSpec", "StageSpec", "StemSpec"]


@dataclass(frozen=True)
class BlockSpec:
    """A residual bottleneck: 1x1 convolution, spatial operator, 1x1 convolution.

    Attributes:
        operator: Name of a registered operator.
        hyperparameters: Its hyperparameters as sorted ``(name, value)`` pairs, complete.
    """

    operator: str
    hyperparameters: tuple[tuple[str, Value], ...]


@dataclass(frozen=True)
class StageSpec:
    """Blocks of one resolution.

    Attributes:
        width: Channels inside the bottleneck; the stage's output has ``4 * width``.
        stride: Stride of the first block.
        blocks: The blocks in order; never empty.
    """

    width: int
    stride: int
    blocks: tuple[BlockSpec, ...]


@dataclass(frozen=True)
class StemSpec:
    """The layers before the first stage.

    Attributes:
        kind: ``rednet`` (3x3, involution, 3x3), ``resnet`` (one 7x7) or ``deep`` (three 3x3).
        channels: Output channels.
        kernel_size: Kernel size of the stem's involution (``rednet`` only; 7 otherwise).
        stride: Stride of the first convolution (2; 1 for proxies on small images).
        pool: Whether the stem ends in a 3x3 max pool of stride 2.
    """

    kind: Literal["rednet", "resnet", "deep"]
    channels: int = 64
    kernel_size: int = 7
    stride: int = 2
    pool: bool = True


@dataclass(frozen=True)
class NetworkSpec:
    """A whole network: stem, four stages (or fewer), global average pool, linear head."""

    stem: StemSpec
    stages: tuple[StageSpec, ...]
    num_classes: int = 1000
    in_channels: int = 3

    def to_json(self) -> dict[str, Any]:
        """The network as plain JSON-able data."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> NetworkSpec:
        """The inverse of :meth:`to_json`, also after a trip through JSON text."""
        stages = tuple(
            StageSpec(s["width"], s["stride"], tuple(_block_from_json(b) for b in s["blocks"]))
            for s in data["stages"]
        )
        return cls(StemSpec(**data["stem"]), stages, data["num_classes"], data["in_channels"])


def _block_from_json(data: Mapping[str, Any]) -> BlockSpec:
    return BlockSpec(data["operator"], tuple((k, v) for k, v in data["hyperparameters"]))
