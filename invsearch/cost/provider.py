"""What is counted, as providers of metrics."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import ops
from invsearch.cost.memory import peak_memory
from invsearch.cost.task_count import searched_count, searched_shape
from invsearch.cost.verify import verify_closed_form
from invsearch.metrics import Metric, Source
from invsearch.provider import Provider, Setting, When

if TYPE_CHECKING:
    from invsearch.models import BlockSpec
    from invsearch.space.architecture import Architecture

__all__ = ["PROVIDERS", "Counted", "PeakMemory"]

_SAMPLED = 32  # architectures: all blocks of a third party's operator in a space of a few values
_CHECKED_BLOCKS = 8  # closed forms compared with traces, about 0.1 s each


class Counted(Provider):
    """Parameters and multiply-adds, by closed forms; always there."""

    metrics: ClassVar[tuple[str, ...]] = ("params", "macs")
    source: ClassVar[Source] = "counted"
    when: ClassVar[When] = "before"

    @classmethod
    def serves(cls, setting: Setting) -> bool:
        return True

    def check(self) -> None:
        """Compare the closed forms of other people's operators with traces.

        Raises:
            InputError: If one is wrong.
        """
        for block, channels in sorted(self._foreign_blocks(), key=str)[:_CHECKED_BLOCKS]:
            verify_closed_form(block, channels)

    def give(self, architecture: Architecture, earlier: Mapping[str, Metric]) -> dict[str, Metric]:
        spec, resolution = self.setting.searched(architecture), self.setting.resolution
        counts = searched_count(spec, resolution=resolution)
        height, width = searched_shape(spec, resolution)[2:]
        size = height if height == width else [height, width]
        detail = {"convention": "fvcore", "resolution": size}
        return {
            "params": Metric("params", counts.params, "counted"),
            "macs": Metric("macs", counts.macs, "counted", detail=detail),
        }

    def _foreign_blocks(self) -> set[tuple[BlockSpec, int]]:
        """Blocks of operators that ``ops`` itself has not, with their widths, from a sample."""
        rng = random.Random(0)
        specs = [self.setting.spec(self.setting.space.sample(rng)) for _ in range(_SAMPLED)]
        return {
            (block, stage.width)
            for spec in specs
            for stage in spec.stages
            for block in stage.blocks
            if not ops.get(block.operator).build.__module__.startswith("ops.")
        }


class PeakMemory(Provider):
    """The most that tensors take at once in a forward pass, from their lifetimes."""

    metrics: ClassVar[tuple[str, ...]] = ("peak_memory_bytes",)
    source: ClassVar[Source] = "counted"
    when: ClassVar[When] = "before"

    @classmethod
    def serves(cls, setting: Setting) -> bool:
        return "peak_memory_bytes" in setting.wanted

    def give(self, architecture: Architecture, earlier: Mapping[str, Metric]) -> dict[str, Metric]:
        spec = self.setting.searched(architecture)
        peak = peak_memory(spec, searched_shape(spec, self.setting.resolution))
        return {"peak_memory_bytes": Metric("peak_memory_bytes", peak, "counted")}


PROVIDERS: tuple[type[Provider], ...] = (Counted, PeakMemory)
"""In the order in which they are asked."""
