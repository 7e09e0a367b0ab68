"""Latency predicted from a table, and measured on every target, as providers of metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from invsearch.errors import InputError, TrialError
from invsearch.latency.carried import check_carried, read_table
from invsearch.latency.measured import ask, metric
from invsearch.latency.runtimes import Runtime
from invsearch.latency.space_parts import distinct_parts
from invsearch.latency.table import LatencyTable
from invsearch.latency.tabled import TabledLatency
from invsearch.latency.target import Target
from invsearch.metrics import MEASURED_ON_TARGETS, Metric, Source
from invsearch.plugins import RUNTIMES
from invsearch.provider import Provider, Setting, When
from invsearch.runs.files import dump_json, write_atomic

if TYPE_CHECKING:
    from invsearch.runs import RunFolder
    from invsearch.space import Timing
    from invsearch.space.architecture import Architecture

__all__ = ["Measured", "Tabled"]


@dataclass(frozen=True)
class _Place:
    """A section of the space file, and what is wanted of it.

    Attributes:
        key: How the file names it: ``latency``, ``latency.targets.a100``.
        suffix: Of its metrics' names: empty, or ``@a100``.
        section: What it says.
        wanted: The metrics that are asked of it, without the suffix.
    """

    key: str
    suffix: str
    section: Timing
    wanted: tuple[str, ...]

    @property
    def target(self) -> Target:
        """Where and how it times; measurements on targets are undisturbed unless it is waived."""
        return Target.of(self.section, undisturbed=bool(self.suffix))

    @property
    def latency(self) -> str:
        """The name of its latency."""
        return f"latency_ms{self.suffix}"


def _places(setting: Setting) -> Iterator[_Place]:
    """The sections of which something is asked."""
    section = setting.latency
    if section is None:
        return
    if "latency_ms" in setting.wanted:
        yield _Place("latency", "", section, ("latency_ms",))
    for name, target in section.targets.items():
        wanted = tuple(base for base in MEASURED_ON_TARGETS if f"{base}@{name}" in setting.wanted)
        if wanted:
            yield _Place(f"latency.targets.{name}", f"@{name}", target, wanted)


class _Timed(Provider):
    """What both have: the section ``latency`` and its targets."""

    @cached_property
    def places(self) -> list[_Place]:
        """Those that it serves."""
        return [place for place in _places(self.setting) if self.takes(place)]

    @classmethod
    def takes(cls, place: _Place) -> bool:
        """Whether it gives something of that section."""
        raise NotImplementedError

    @classmethod
    def serves(cls, setting: Setting) -> bool:
        return any(cls.takes(place) for place in _places(setting))

    def images(self, place: _Place) -> tuple[int, int, int]:
        """(B, H, W) of the images that latency is of."""
        side = place.section.resolution or self.setting.resolution
        return place.section.batch_size, side, side

    def check(self) -> None:
        """Check that the runtimes can run what they should here.

        Raises:
            InputError: If one cannot.
        """
        for place in self.places:
            target = place.target
            runtime = RUNTIMES.get(target.runtime, Runtime)
            problem = runtime.problem(target.device, target.dtype)
            if problem is None and place.section.table is True and not runtime.parts:
                problem = f"runtime {target.runtime!r} cannot time blocks alone: leave out table"
            if problem is None and "energy_mj" in place.wanted and target.device == "cpu":
                problem = "a CPU has no energy meter that tells one process's share: ask a GPU"
            if problem is not None:
                raise InputError(f"{place.key}: {problem}")


class Tabled(_Timed):
    """Predicted from the measured blocks of the space, known once it is prepared."""

    metrics: ClassVar[tuple[str, ...]] = ("latency_ms",)
    source: ClassVar[Source] = "predicted"
    when: ClassVar[When] = "before"

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self._tables: dict[str, TabledLatency | LatencyTable] = {}

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(place.latency for place in self.places)

    @classmethod
    def takes(cls, place: _Place) -> bool:
        return bool(place.section.table) and "latency_ms" in place.wanted

    def prepare(self, folder: RunFolder, say: Callable[[str], None]) -> None:
        """Measure the tables that are measured here, and read those that were brought along."""
        for place in self.places:
            path = folder.latency_table_path
            path = path.with_name(f"{path.stem}{place.suffix}{path.suffix}")
            if isinstance(place.section.table, str):
                self._tables[place.latency] = self._carried(place, path)
            else:
                self._tables[place.latency] = self._measured(place, path, say)

    def _carried(self, place: _Place, kept: Path) -> LatencyTable:
        """The table of a file, which the run's folder keeps a copy of."""
        source, images = Path(str(place.section.table)), self.images(place)
        table = read_table(kept if kept.exists() else source)
        parts = distinct_parts(self.setting.space, self.setting.spec, images[1:])
        label = f"{place.key}.table {place.section.table}"
        check_carried(table, label, place.target.conditions(images[0], images[1:]), parts)
        if not kept.exists():
            write_atomic(kept, dump_json(table.to_json(), indent=1) + "\n")
        return table

    def _measured(self, place: _Place, path: Path, say: Callable[[str], None]) -> TabledLatency:
        setting, images = self.setting, self.images(place)
        tabled = TabledLatency(path, setting.space, setting.spec, place.target, images, say)
        tabled.prepare()
        return tabled

    def give(self, architecture: Architecture, earlier: Mapping[str, Metric]) -> dict[str, Metric]:
        found: dict[str, Metric] = {}
        for name, table in self._tables.items():
            predicted = table.predict(self.setting.spec(architecture))
            final = {"final": True} if isinstance(table, LatencyTable) else {}
            found[name] = replace(predicted, name=name, detail={**predicted.detail, **final})
        return found


class Measured(_Timed):
    """Measured in a fresh process on the driver's machine, the prediction kept beside it."""

    metrics: ClassVar[tuple[str, ...]] = MEASURED_ON_TARGETS
    source: ClassVar[Source] = "measured"
    when: ClassVar[When] = "alone"

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"{base}{place.suffix}" for place in self.places for base in place.wanted)

    @classmethod
    def takes(cls, place: _Place) -> bool:
        return not isinstance(place.section.table, str)  # the device of such a table is elsewhere

    def give(self, architecture: Architecture, earlier: Mapping[str, Metric]) -> dict[str, Metric]:
        found: dict[str, Metric] = {}
        for place in self.places:
            found |= self._measured(place, architecture, earlier)
        return found

    def _measured(
        self, place: _Place, architecture: Architecture, earlier: Mapping[str, Metric]
    ) -> dict[str, Metric]:
        spec = self.setting.spec(architecture)
        batch, *size = self.images(place)
        shape = (batch, spec.in_channels, *size)
        figures = ask(spec, shape, place.target, energy="energy_mj" in place.wanted)
        found = {}
        for base in place.wanted:
            name = f"{base}{place.suffix}"
            found[name] = _METRICS[base](name, figures)
            predicted = earlier.get(name)
            if predicted is not None:
                kept = {"value": predicted.value, "low": predicted.low, "high": predicted.high}
                detail = {**found[name].detail, "predicted": kept}
                found[name] = replace(found[name], detail=detail)
        return found


def _latency(name: str, figures: Mapping[str, Any]) -> Metric:
    return metric(figures, name)


def _peak_memory(name: str, figures: Mapping[str, Any]) -> Metric:
    found = figures["peak_memory_bytes"]
    if found is None:
        raise TrialError(f"{name}: this system does not tell how much memory a process had at most")
    return Metric(name, found, "measured", detail=figures["detail"])


def _energy(name: str, figures: Mapping[str, Any]) -> Metric:
    energy = figures["energy"]
    if energy["mj"] is None:
        raise TrialError(f"{name}: {energy['reason']}")
    return Metric(name, energy["mj"], "measured", detail={**figures["detail"], "energy": energy})


_METRICS: Mapping[str, Callable[[str, Mapping[str, Any]], Metric]] = {
    "latency_ms": _latency,
    "peak_memory_bytes": _peak_memory,
    "energy_mj": _energy,
}
