"""What is counted, as providers of metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from invsearch.cost.memory import peak_memory
from invsearch.cost.task_count import searched_count, searched_shape
from invsearch.cost.verify import verify_operators
from invsearch.metrics import Metric, Source
from invsearch.provider import Provider, Setting, When

if TYPE_CHECKING:
    from invsearch.space.architecture import Architecture

__all__ = ["Counted", "PeakMemory"]


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
        verify_operators(self.setting.sampled_specs())

    def give(self, architecture: Architecture, earlier: Mapping[str, Metric]) -> dict[str, Metric]:
        spec, resolution = self.setting.searched(architecture), self.setting.resolution
        counts = searched_count(spec, resolution=resolution)
        size = _side(searched_shape(spec, resolution))
        detail = {"convention": "fvcore", "resolution": size}
        return {
            "params": Metric("params", counts.params, "counted"),
            "macs": Metric("macs", counts.macs, "counted", detail=detail),
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
        shape = searched_shape(spec, self.setting.resolution)
        peak, detail = peak_memory(spec, shape), {"resolution": _side(shape)}
        return {"peak_memory_bytes": Metric("peak_memory_bytes", peak, "counted", detail=detail)}


def _side(shape: Sequence[int]) -> int | list[int]:
    """Of an image (B, C, H, W): its side, or [height, width]."""
    height, width = shape[2:]
    return height if height == width else [height, width]
