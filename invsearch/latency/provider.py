"""Latency predicted from a table, and measured, as providers of metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from invsearch.latency.measured import latency
from invsearch.latency.tabled import TabledLatency
from invsearch.metrics import Metric, Source
from invsearch.provider import Provider, Setting, When

if TYPE_CHECKING:
    from invsearch.runs import RunFolder
    from invsearch.space import Latency
    from invsearch.space.architecture import Architecture

__all__ = ["Measured", "Tabled"]


class _Timed(Provider):
    """What both have: the section ``latency``."""

    metrics: ClassVar[tuple[str, ...]] = ("latency_ms",)

    @classmethod
    def serves(cls, setting: Setting) -> bool:
        return "latency_ms" in setting.wanted and setting.latency is not None

    @property
    def section(self) -> Latency:
        assert self.setting.latency is not None
        return self.setting.latency

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the images that latency is of."""
        side = self.section.resolution or self.setting.resolution
        return side, side


class Tabled(_Timed):
    """Predicted from the measured blocks of the space, known once it is prepared."""

    source: ClassVar[Source] = "predicted"
    when: ClassVar[When] = "before"

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self._tabled: TabledLatency | None = None

    @classmethod
    def serves(cls, setting: Setting) -> bool:
        return super().serves(setting) and bool(setting.latency and setting.latency.table)

    def prepare(self, folder: RunFolder, say: Callable[[str], None]) -> None:
        setting = self.setting
        tabled = TabledLatency(
            folder.latency_table_path, setting.space, setting.spec, self.section, self.size, say
        )
        tabled.prepare()
        self._tabled = tabled

    def give(self, architecture: Architecture, earlier: Mapping[str, Metric]) -> dict[str, Metric]:
        if self._tabled is None:
            return {}
        return {"latency_ms": self._tabled.predict(self.setting.spec(architecture))}


class Measured(_Timed):
    """Measured in a fresh process on the driver's machine, the prediction kept beside it."""

    source: ClassVar[Source] = "measured"
    when: ClassVar[When] = "alone"

    def give(self, architecture: Architecture, earlier: Mapping[str, Metric]) -> dict[str, Metric]:
        spec, section = self.setting.spec(architecture), self.section
        shape = (section.batch_size, spec.in_channels, *self.size)
        measured = latency(spec, shape=shape, device=section.device, threads=section.threads)
        predicted = earlier.get("latency_ms")
        if predicted is not None:
            kept = {"value": predicted.value, "low": predicted.low, "high": predicted.high}
            measured = replace(measured, detail={**measured.detail, "predicted": kept})
        return {"latency_ms": measured}
