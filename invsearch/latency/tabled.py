"""The latency table of a run: measured before the search, kept in its folder, read at resume."""

from __future__ import annotations

import itertools
import json
import math
import random
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from invsearch.errors import InputError, TrialError
from invsearch.latency.differences import differences
from invsearch.latency.measured import ask, metric, part_latencies
from invsearch.latency.parts import Part, network_parts
from invsearch.latency.space_parts import companies, parts_of_networks
from invsearch.latency.table import CalibrationNetwork, LatencyTable, MissingPartsError
from invsearch.latency.target import Target
from invsearch.metrics import Metric
from invsearch.models import NetworkSpec
from invsearch.runs import describe
from invsearch.runs.files import dump_json, write_atomic
from invsearch.space import Architecture, Space

__all__ = ["TabledLatency", "conditions", "in_words"]

_TOGETHER = 48  # 0.15 s a part: about 7 s in one process, and lost at most by a kill
_NETWORKS = 8  # a ratio and a constant, with six degrees of freedom left for the spread
_DRAWN = 256  # architectures among which those networks are chosen, by their sums
_AGAIN = 2  # further measurements where another process took the time
# What decides how fast our networks run, of all that ops.environment() says; not what varies from
# minute to minute, and not versions of what computes nothing.
_MACHINE = ("cpu_model", "cpu_capability", "native", "logical_cores", "torch", "gpu")
_OF_CPU = "native"  # our kernels there; tables of former versions left it unsaid

Say = Callable[[str], None]


class TabledLatency:
    """Predicts the latency of a space's networks from a table in the run's folder.

    Every distinct part of the space's networks is measured once, in turns with the other parts of a
    network that has it, some dozens at a time in a fresh process under the device's lock, and the
    file is replaced after each of these; then a few whole networks, from the fastest to the
    slowest, to which the sums are fitted. From then on the fit is fixed, so a prediction depends
    on the file alone and a resumed search goes on as it would have. A part that drawing networks
    did not find is measured when a candidate has it.

    Args:
        path: The file.
        space: What is searched.
        spec: The network of an architecture.
        target: Where and how networks are timed.
        images: (B, H, W) of the input.
        say: Tells the user what is measured.
        advance: Hears how many blocks and networks are measured, and of how many.

    Raises:
        InputError: If the file was measured on another machine or under other conditions.
    """

    def __init__(
        self,
        path: Path,
        space: Space,
        spec: Callable[[Mapping[str, Any]], NetworkSpec],
        target: Target,
        images: tuple[int, int, int],
        say: Say,
        advance: Callable[[int, int], object] = lambda done, of: None,
    ) -> None:
        self._path, self._space, self._spec, self._say = path, space, spec, say
        self._target, self._images = target, images
        self._known: dict[str, Part] = {}
        self._networks: list[tuple[str, ...]] = []
        self._advance = advance
        self._conditions = conditions(target, images)
        self.table = self._read() or LatencyTable(self._conditions, str(describe()["id"]))

    def predict(self, spec: NetworkSpec) -> Metric:
        """``latency_ms`` of the network, predicted; parts that are missing are measured first.

        Raises:
            InputError: If they cannot be.
        """
        try:
            return self.table.predict(spec)
        except MissingPartsError as missing:
            parts = {part.name: part for part in network_parts(spec, *self._images[1:])}
            self._measure([part.name for part in missing.parts], parts, [tuple(parts)])
            return self.table.predict(spec)

    def prepare(self) -> None:
        """Measure what the table does not have yet.

        Raises:
            InputError: If the space has too many distinct parts, or one cannot be measured.
        """
        found = parts_of_networks(self._space, self._spec, self._images[1:])
        self._known, self._networks = found
        missing = [name for name in self._known if name not in self.table.entries]
        if missing:
            self._say(
                f"latency table: {len(missing)} distinct blocks to measure on"
                f" {self._target.device}, then up to {_NETWORKS} whole networks"
            )
            self._measure(missing, self._known, self._networks)
        wanted, before = min(_NETWORKS, self._space.size()), len(self.table.networks)
        if before < wanted:
            for architecture in self._chosen():
                if not self._holds(architecture):
                    self._measure_network(architecture)
        if missing or len(self.table.networks) > before:
            self._say(f"latency table: {in_words(self.table)}")

    def _measure(
        self,
        missing: Sequence[str],
        parts: Mapping[str, Part],
        networks: Sequence[tuple[str, ...]],
    ) -> None:
        """Measure the missing parts, each in the company of a network: there it finds the caches.

        Among parts of other networks it finds them full of those. On 30 networks of
        spaces/rednet.yaml sums were off by 29 % at the 90th percentile then, and by 9 % with each
        part among its own network's, all else alike.
        """
        for together in _batches(companies(networks, missing)):
            latencies = self._latencies([[parts[name] for name in names] for names in together])
            self.table.entries |= {
                part: latency
                for part, latency in zip(itertools.chain(*together), latencies, strict=True)
                if part not in self.table.entries
            }
            self._write()
            self._tell()

    def _latencies(self, networks: Sequence[Sequence[Part]]) -> list[Metric]:
        def measure() -> list[Metric]:
            return part_latencies(networks, batch_size=self._images[0], target=self._target)

        try:
            return _undisturbed(measure)
        except TrialError as error:
            raise InputError(f"latency.table: {error}") from error

    def _chosen(self) -> list[Architecture]:
        """Networks whose sums are spread evenly from the least to the largest."""
        if self._space.size() <= _DRAWN:
            drawn = list(self._space.enumerate())
        else:
            rng = random.Random(1)
            drawn = list(dict.fromkeys(self._space.sample(rng) for _ in range(_DRAWN)))
        drawn.sort(key=lambda one: (self.predict(self._spec(one)).detail["sum_ms"], one.key))
        if len(drawn) <= _NETWORKS:
            return drawn
        step = (len(drawn) - 1) / (_NETWORKS - 1)
        return [drawn[round(i * step)] for i in range(_NETWORKS)]

    def _holds(self, architecture: Architecture) -> bool:
        wanted = architecture.to_json()
        return any(network.architecture == wanted for network in self.table.networks)

    def _measure_network(self, architecture: Architecture) -> None:
        spec, (batch, *size) = self._spec(architecture), self._images
        target = replace(self._target, undisturbed=False)  # here the faster of several is kept

        def measure() -> list[Metric]:
            return [metric(ask(spec, (batch, spec.in_channels, *size), target))]

        try:
            (measured,) = _undisturbed(measure)
        except TrialError as error:
            self._say(f"latency table: {architecture.key} is left out: {error}")
            return
        total = self.table.sum_ms(spec)
        self.table.calibrate([CalibrationNetwork(architecture.to_json(), total, measured)])
        self._write()
        self._tell()

    def _tell(self) -> None:
        """Say how far it is; of the parts, those that were found by drawing."""
        done = sum(name in self.table.entries for name in self._known) + len(self.table.networks)
        networks = int(min(_NETWORKS, self._space.size()))
        self._advance(done, len(self._known) + networks)

    def _write(self) -> None:
        write_atomic(self._path, dump_json(self.table.to_json(), indent=1) + "\n")

    def _read(self) -> LatencyTable | None:
        try:
            table = LatencyTable.from_json(json.loads(self._path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            self._say(f"{self._path} {error}: its blocks are measured anew")
            return None
        unsaid = {key: self._conditions[key] for key in [_OF_CPU] if key in self._conditions}
        changed = differences({**unsaid, **table.under}, self._conditions)
        if changed:
            raise InputError(
                f"{self._path} was measured under other conditions ({changed}): go on where it was"
                " measured, or choose another place with --out or -o"
            )
        return table


def _batches(networks: Sequence[Collection[str]]) -> Iterator[list[Collection[str]]]:
    """Networks that are measured in one process; each keeps its own turns."""
    together: list[Collection[str]] = []
    for names in networks:
        if together and sum(map(len, together)) + len(names) > _TOGETHER:
            yield together
            together = []
        together.append(names)
    if together:
        yield together


def conditions(target: Target, images: tuple[int, int, int]) -> dict[str, Any]:
    """What a latency measured here and now depends on beside the network, as plain data.

    Args:
        target: Where and how networks are timed.
        images: (B, H, W) of the input.
    """
    machine = describe()["machine"]
    facts = {key: machine.get(key) for key in _MACHINE}
    del facts["gpu" if target.device == "cpu" else _OF_CPU]
    return {**target.conditions(images[0], images[1:]), **facts}


def _undisturbed(measure: Callable[[], list[Metric]]) -> list[Metric]:
    """Measure again where the process did not get its time, and keep the faster of each.

    Only here: what is wanted is what a network takes on an idle machine, and others only slow it.
    """
    found = measure()
    for _ in range(_AGAIN):
        if not any(str(flag).startswith("starved") for flag in found[0].detail.get("flags", ())):
            break
        pairs = zip(measure(), found, strict=True)
        found = [min(pair, key=lambda one: one.value) for pair in pairs]
    return found


def in_words(table: LatencyTable) -> str:
    fit = table.calibration
    if not fit.count:
        return "no whole network could be measured: predictions are plain sums"
    constant = f" {fit.constant_ms:+.3g} ms" if fit.constant_ms else ""
    sure = "" if math.isnan(fit.spread) else f", off by {fit.spread:.1%} (standard deviation)"
    return (
        f"a network takes {fit.ratio:.3g} times its blocks{constant}, by {fit.count} whole"
        f" networks{sure}"
    )
