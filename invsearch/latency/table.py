"""LatencyTable: the measured latency of a space's parts, and what networks of them should take."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from invsearch.latency.calibration import Calibration, calibrate
from invsearch.latency.parts import Part, network_parts
from invsearch.metrics import Metric
from invsearch.models.network import NetworkSpec

__all__ = ["SCHEMA", "CalibrationNetwork", "LatencyTable", "MissingPartsError"]

SCHEMA = 2
"""Of the file; one of another number is measured anew. 1: blocks among those of any networks, in
processes whose memory the system got back between passes."""
KIND = "latency_table"

_BEFORE_TARGETS = {"dtype": "fp32", "runtime": "torch"}
"""What tables were measured under when they did not say it yet."""


class MissingPartsError(LookupError):
    """A network has parts that were not measured: ``parts``."""

    def __init__(self, parts: Sequence[Part]) -> None:
        super().__init__(f"not measured yet: {'; '.join(part.name for part in parts)}")
        self.parts = list(parts)


@dataclass(frozen=True)
class CalibrationNetwork:
    """A whole network that was measured beside its parts.

    Attributes:
        architecture: Its point of the space.
        sum_ms: What its parts take together, by the table.
        latency: Measured, of the network.
    """

    architecture: Mapping[str, Any]
    sum_ms: float
    latency: Metric


@dataclass
class LatencyTable:
    """Latencies of parts under one set of conditions.

    Attributes:
        conditions: What a latency depends on beside the network: ``device``, ``batch_size``,
            ``threads``, ``resolution`` ([height, width] of the images), ``dtype``,
            ``memory_format``, ``runtime``, and facts about the machine.
        environment: Id of the environment that it was measured in.
        entries: ``latency_ms`` of each part, measured, by the part's name.
        networks: Whole networks, which the predictions are fitted to; fixed once there.
    """

    conditions: Mapping[str, Any]
    environment: str = ""
    entries: dict[str, Metric] = field(default_factory=dict)
    networks: list[CalibrationNetwork] = field(default_factory=list)

    @property
    def under(self) -> dict[str, Any]:
        """The conditions, with what tables of former versions left unsaid."""
        return {**_BEFORE_TARGETS, **self.conditions}

    @cached_property
    def calibration(self) -> Calibration:
        """The fit of the networks to the sums of their parts."""
        sums = [network.sum_ms for network in self.networks]
        return calibrate(sums, [network.latency.value for network in self.networks])

    def calibrate(self, networks: Iterable[CalibrationNetwork]) -> None:
        """Take further measured networks into the fit."""
        self.networks += networks
        self.__dict__.pop("calibration", None)

    def missing(self, spec: NetworkSpec) -> list[Part]:
        """The network's parts that were not measured, each once."""
        parts = {part.name: part for part in self._parts(spec)}
        return [part for name, part in parts.items() if name not in self.entries]

    def sum_ms(self, spec: NetworkSpec) -> float:
        """What the network's parts take together.

        Raises:
            MissingPartsError: If one was not measured.
        """
        try:
            return math.fsum(self.entries[part.name].value for part in self._parts(spec))
        except KeyError:
            raise MissingPartsError(self.missing(spec)) from None

    def predict(self, spec: NetworkSpec) -> Metric:
        """Predict the latency of the whole network.

        Args:
            spec: The network.

        Returns:
            ``latency_ms`` of source ``predicted``: the sum of the parts' medians, calibrated, with
            the 95 % interval for what a measurement will say. Without enough networks to tell it,
            the ends are the sums of the parts' own. ``detail`` holds ``sum_ms``.

        Raises:
            MissingPartsError: If a part was not measured.
        """
        total, fit = self.sum_ms(spec), self.calibration
        value = fit.value(total)
        low, high = fit.interval(total) or self._ends(spec, value / total)
        return Metric("latency_ms", value, "predicted", low, high, detail={"sum_ms": total})

    def to_json(self) -> dict[str, Any]:
        """The table as plain data; the calibration is there to be read, and not read back."""
        fit = self.calibration
        return {
            "schema": SCHEMA,
            "kind": KIND,
            "conditions": dict(self.conditions),
            "environment": self.environment,
            "calibration": {
                "ratio": fit.ratio,
                "constant_ms": fit.constant_ms,
                "spread": fit.spread,
                "networks": fit.count,
            },
            "networks": [
                {
                    "architecture": dict(network.architecture),
                    "sum_ms": network.sum_ms,
                    **_figures(network.latency),
                }
                for network in self.networks
            ],
            "entries": {name: _figures(latency) for name, latency in self.entries.items()},
        }

    @classmethod
    def from_json(cls, data: Any) -> LatencyTable:
        """The inverse of :meth:`to_json`.

        Raises:
            ValueError: If it is no table, or one of another version.
        """
        try:
            if data["kind"] != KIND or data["schema"] != SCHEMA:
                raise ValueError(f"is no latency table of version {SCHEMA}")
            networks = [
                CalibrationNetwork(one["architecture"], float(one["sum_ms"]), _metric(one))
                for one in data["networks"]
            ]
            entries = {str(name): _metric(one) for name, one in data["entries"].items()}
            return cls(dict(data["conditions"]), str(data["environment"]), entries, networks)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"is no latency table: {error}") from None

    def _parts(self, spec: NetworkSpec) -> list[Part]:
        height, width = self.conditions["resolution"]
        return list(network_parts(spec, height, width))

    def _ends(self, spec: NetworkSpec, factor: float) -> tuple[float, float]:
        found = [self.entries[part.name] for part in self._parts(spec)]
        lows = [one.value if one.low is None else one.low for one in found]
        highs = [one.value if one.high is None else one.high for one in found]
        return factor * math.fsum(lows), factor * math.fsum(highs)


def _figures(latency: Metric) -> dict[str, Any]:
    found = {"median_ms": latency.value, "low_ms": latency.low, "high_ms": latency.high}
    kept = {key: latency.detail[key] for key in ("samples", "flags") if latency.detail.get(key)}
    return {**found, **kept}


def _metric(figures: Mapping[str, Any]) -> Metric:
    ends = (figures["low_ms"], figures["high_ms"])
    detail = {key: figures[key] for key in ("samples", "flags") if key in figures}
    return Metric("latency_ms", float(figures["median_ms"]), "measured", *ends, detail=detail)
