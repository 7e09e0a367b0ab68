"""Latency predicted from a table, and measured on every target, as providers of metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from invsearch.errors import InputError, TrialError
from invsearch.latency.carried import check_carried, read_table
from invsearch.latency.measured import ask, ask_in_turns, metric
from invsearch.latency.place import Place, places
from invsearch.latency.reach import why_unreached
from invsearch.latency.remote import ask_in_turns_on_node, ask_on_node
from invsearch.latency.space_parts import distinct_parts
from invsearch.latency.table import LatencyTable
from invsearch.latency.tabled import TabledLatency
from invsearch.metrics import MEASURED_ON_TARGETS, Metric, Source
from invsearch.models import ModuleSpec, NetworkSpec, TaskSpec
from invsearch.provider import Provider, Setting, When
from invsearch.runs.files import dump_json, write_atomic

if TYPE_CHECKING:
    from invsearch.models import SearchedSpec
    from invsearch.runs import RunFolder
    from invsearch.space.architecture import Architecture

__all__ = ["Measured", "Tabled"]


class _Timed(Provider):
    """What both have: the section ``latency`` and its targets."""

    @cached_property
    def places(self) -> list[Place]:
        """Those that it serves."""
        return [place for place in places(self.setting) if self.takes(place)]

    @classmethod
    def takes(cls, place: Place) -> bool:
        """Whether it gives something of that section."""
        raise NotImplementedError

    @classmethod
    def serves(cls, setting: Setting) -> bool:
        return any(cls.takes(place) for place in places(setting))

    @property
    def audited(self) -> tuple[str, ...]:
        return tuple(place.latency for place in self.places if "latency_ms" in place.wanted)

    def unreached(self, name: str, known: Sequence[Metric]) -> str | None:
        return why_unreached(self._place(name), [self.machine(metric) for metric in known])

    def machine(self, metric: Metric) -> Mapping[str, Any]:
        """Facts about the machine that a latency is of; empty where it does not say them."""
        found: Mapping[str, Any] = metric.detail.get("environment", {})
        return found

    def audit(self, name: str, architectures: Sequence[Architecture]) -> list[Metric]:
        place, setting = self._place(name), self.setting
        specs = [_timed(setting.searched(architecture)) for architecture in architectures]
        batch, *size = place.images(setting.resolution)
        shape, target = (batch, specs[0].in_channels, *size), place.target
        if place.resource is None:
            reply = ask_in_turns(specs, shape, target)
        else:
            reply = ask_in_turns_on_node(place.resource, specs, shape, target)
        return list(_audited(name, reply))

    def _place(self, name: str) -> Place:
        return next(place for place in self.places if place.latency == name)

    def check(self) -> None:
        """Check that the runtimes can run what they should here.

        Raises:
            InputError: If one cannot.
        """
        for place in self.places:
            problem = place.problem()
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
    def takes(cls, place: Place) -> bool:
        return bool(place.section.table) and "latency_ms" in place.wanted

    @property
    def audited(self) -> tuple[str, ...]:
        """Where a table was brought along: what is measured in trials is the other provider's."""
        return tuple(p.latency for p in self.places if isinstance(p.section.table, str))

    def machine(self, metric: Metric) -> Mapping[str, Any]:
        table = self._tables[metric.name]
        assert isinstance(table, LatencyTable)
        return super().machine(metric) or table.conditions

    def prepare(self, folder: RunFolder, say: Callable[[str], None]) -> None:
        """Measure the tables that are measured here, and read those that were brought along."""
        for place in self.places:
            path = place.table_path(folder)
            if isinstance(place.section.table, str):
                self._tables[place.latency] = self._carried(place, path)
            else:
                self._tables[place.latency] = self._measured(place, path, say)

    def _carried(self, place: Place, kept: Path) -> LatencyTable:
        """The table of a file, which the run's folder keeps a copy of."""
        source, images = Path(str(place.section.table)), place.images(self.setting.resolution)
        table = read_table(kept if kept.exists() else source)
        parts = distinct_parts(self.setting.space, self.setting.spec, images[1:])
        label = f"{place.key}.table {place.section.table}"
        check_carried(table, label, place.target.conditions(images[0], images[1:]), parts)
        if not kept.exists():
            write_atomic(kept, dump_json(table.to_json(), indent=1) + "\n")
        return table

    def _measured(self, place: Place, path: Path, say: Callable[[str], None]) -> TabledLatency:
        setting, images = self.setting, place.images(self.setting.resolution)
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
    """Measured in a fresh process where the device is, the prediction kept beside it."""

    metrics: ClassVar[tuple[str, ...]] = MEASURED_ON_TARGETS
    source: ClassVar[Source] = "measured"
    when: ClassVar[When] = "alone"

    @property
    def elsewhere(self) -> bool:
        return any(place.resource is not None for place in self.places)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"{base}{place.suffix}" for place in self.places for base in place.wanted)

    @classmethod
    def takes(cls, place: Place) -> bool:
        return not isinstance(place.section.table, str)  # the device of such a table is elsewhere

    def give(self, architecture: Architecture, earlier: Mapping[str, Metric]) -> dict[str, Metric]:
        found: dict[str, Metric] = {}
        for place in self.places:
            found |= self._measured(place, architecture, earlier)
        return found

    def _measured(
        self, place: Place, architecture: Architecture, earlier: Mapping[str, Metric]
    ) -> dict[str, Metric]:
        spec = _timed(self.setting.searched(architecture))
        batch, *size = place.images(self.setting.resolution)
        shape = (batch, spec.in_channels, *size)
        energy, resource = "energy_mj" in place.wanted, place.resource
        if resource is None:
            figures = ask(spec, shape, place.target, energy=energy)
        else:
            figures = ask_on_node(resource, spec, shape, place.target, energy=energy)
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


def _timed(spec: SearchedSpec) -> NetworkSpec | ModuleSpec:
    assert not isinstance(spec, TaskSpec)  # the space file's checks refuse to time them
    return spec


def _audited(name: str, reply: Mapping[str, Any]) -> Iterator[Metric]:
    around = {key: one for key, one in reply["detail"].items() if key != "flags"}
    for figures, ties in zip(reply["networks"], reply["ties"], strict=True):
        found = metric(figures, name)
        yield replace(found, detail={**found.detail, **around, "ties": ties})


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
