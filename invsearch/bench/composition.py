"""``invsearch bench composition``: whole networks predicted from blocks, and measured whole.

A table of a space's blocks is measured, and the few whole networks that a search fits it to; then
random networks of the space that are not among these, each in a fresh process. What is predicted of
them is compared with what they took, by several ways to get from blocks to networks:

- ``sum``: the blocks' medians added up.
- ``calibration``: a ratio and a constant, what searches predict by.
- ``counted``: that and a ridge regression on what is counted of a network.

Blocks cannot be compiled alone: networks under ``torch.compile`` are predicted from the blocks as
``ops.freeze`` leaves them, fitted to a few networks that were compiled.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from invsearch._version import __version__
from invsearch.accuracy.told import Lines
from invsearch.bench.composition_errors import Predicted, row_of
from invsearch.errors import InputError, TrialError
from invsearch.latency.calibration import calibrate
from invsearch.latency.counted import calibrate_counted, counted
from invsearch.latency.measured import ask
from invsearch.latency.runtimes import Runtime
from invsearch.latency.table import LatencyTable
from invsearch.latency.tabled import TabledLatency
from invsearch.latency.target import Target
from invsearch.plugins import RUNTIMES
from invsearch.problem.kinds import problem_of
from invsearch.problem.network import NetworkProblem
from invsearch.runs import describe
from invsearch.space import Architecture, SpaceFile

__all__ = ["WAYS", "CompositionSettings", "measure_composition"]

WAYS = ("sum", "calibration", "counted")

_SEED = 2  # other draws than those that the table's networks are chosen from
_STANDS_FOR = {"compiled": "frozen"}  # as fast, and its blocks can be timed alone

Say = Callable[[str], None]


@dataclass(frozen=True)
class CompositionSettings:
    """How much is measured.

    Attributes:
        out: The folder in which it is kept: the same command goes on there.
        networks: That are predicted.
        runtimes: That they run by.
        threads: CPU threads.
        undisturbed: Whether a disturbed measurement of one of them is taken again.
    """

    out: Path
    networks: int = 30
    runtimes: tuple[str, ...] = ("torch", "compiled")
    threads: int = 1
    undisturbed: bool = True

    def quickly(self) -> CompositionSettings:
        """The same, of fewer networks in torch alone, taken as they come."""
        return CompositionSettings(self.out, 12, ("torch",), self.threads, undisturbed=False)


def measure_composition(
    space: SpaceFile, settings: CompositionSettings, say: Say = lambda line: None
) -> dict[str, Any]:
    """Measure blocks and networks of a space, and compare predictions with measurements.

    Raises:
        InputError: If the space is not one of networks of families, or the folder is of another.
    """
    problem = problem_of(space)
    if not isinstance(problem, NetworkProblem):
        raise InputError(f"{space.path}: only a space of networks has latency to compose")
    bench = _Bench(problem, settings, say)
    return {
        "schema": 1,
        "kind": "composition",
        "version": __version__,
        "environment": describe(),
        "space": space.name,
        "resolution": bench.images[1],
        "threads": settings.threads,
        "runtimes": {runtime: bench.runtime(runtime) for runtime in settings.runtimes},
    }


class _Bench:
    """Measures, or reads what was measured before a kill.

    Args:
        problem: The space.
        settings: How much.
        say: Told what is being measured.
    """

    def __init__(self, problem: NetworkProblem, settings: CompositionSettings, say: Say) -> None:
        self._problem, self._settings, self._say = problem, settings, say
        assert problem.file.model is not None
        side = problem.file.model.resolution
        self.images = (1, side, side)
        about = {"space": problem.file.text, "set": problem.space.to_json(), "images": self.images}
        kept = json.dumps({**about, "threads": settings.threads})
        self._lines = Lines(settings.out / "composition.jsonl", kept)

    def runtime(self, name: str) -> dict[str, Any]:
        """What was found of networks that run so."""
        base = _STANDS_FOR.get(name, name)
        if not RUNTIMES.get(base, Runtime).parts:
            raise InputError(f"runtime {name!r} cannot time blocks alone: nothing composes it")
        table = self._table(base)
        fit = [Architecture(tuple(one.architecture.items())) for one in table.networks]
        held_out = list(self._drawn({one.key for one in fit}))
        known = {
            one.key: network.latency.value for one, network in zip(fit, table.networks, strict=True)
        }
        if base != name:
            known = dict(self._measured(fit, name, "fitted"))
        took = dict(self._measured(held_out, name, "predicted"))
        fit = [one for one in fit if one.key in known]
        held_out = [one for one in held_out if one.key in took]
        predicted = self._predicted(table, fit, known, held_out)
        found = {
            way: Predicted(values, [took[one.key] for one in held_out])
            for way, values in predicted.items()
        }
        return {
            "blocks_by": base,
            "blocks": len(table.entries),
            "fitted": len(fit),
            "rows": [row_of(way, one) for way, one in found.items()],
            "networks": [
                {
                    "architecture": one.to_json(),
                    "measured_ms": took[one.key],
                    **{f"{way}_ms": values[place] for way, values in predicted.items()},
                }
                for place, one in enumerate(held_out)
            ],
        }

    def _table(self, runtime: str) -> LatencyTable:
        tabled = TabledLatency(
            self._settings.out / f"table-{runtime}.json",
            self._problem.space,
            self._problem.spec,
            Target(threads=self._settings.threads, runtime=runtime),
            self.images,
            self._say,
            lambda done, of: self._say(f"{runtime}: {done} of {of} blocks and networks"),
        )
        tabled.prepare()
        return tabled.table

    def _drawn(self, without: set[str]) -> Iterator[Architecture]:
        """Random networks that are not among those of the fit."""
        space, rng, seen = self._problem.space, random.Random(_SEED), set(without)
        wanted = min(self._settings.networks, space.size() - len(without))
        while len(seen) < len(without) + wanted:
            one = space.sample(rng)
            if one.key not in seen:
                seen.add(one.key)
                yield one

    def _measured(
        self, architectures: Sequence[Architecture], runtime: str, why: str
    ) -> Iterator[tuple[str, float]]:
        """Those that could be measured, with what they took."""
        for number, one in enumerate(architectures, start=1):
            told = self._lines.ask(one.key, runtime, 0, partial(self._ask, one, runtime))
            self._say(f"{runtime}: {number} of {len(architectures)} networks to be {why}")
            if told.values:
                yield one.key, told.values["median_ms"]

    def _ask(self, architecture: Architecture, runtime: str) -> Mapping[str, float]:
        spec, (batch, *size) = self._problem.spec(architecture), self.images
        settings = self._settings
        target = Target(threads=settings.threads, runtime=runtime, undisturbed=settings.undisturbed)
        try:
            figures = ask(spec, (batch, spec.in_channels, *size), target)
        except TrialError as error:
            self._say(f"{architecture.key} is left out: {error}")
            return {}
        return {key: figures[key] for key in ("median_ms", "low_ms", "high_ms")}

    def _predicted(
        self,
        table: LatencyTable,
        fit: Sequence[Architecture],
        known: Mapping[str, float],
        held_out: Sequence[Architecture],
    ) -> dict[str, list[float]]:
        """What each of :data:`WAYS` says of the networks that were not fitted."""
        specs = {one.key: self._problem.spec(one) for one in (*fit, *held_out)}
        height, width = self.images[1:]
        sums = {key: table.sum_ms(spec) for key, spec in specs.items()}
        counts = {key: counted(spec, (height, width)) for key, spec in specs.items()}
        keys = [one.key for one in fit]
        fitted = [[of[key] for key in keys] for of in (sums, known)]
        plain = calibrate(*fitted)
        by_counts = calibrate_counted(fitted[0], [counts[key] for key in keys], fitted[1])
        asked = [one.key for one in held_out]
        return {
            "sum": [sums[key] for key in asked],
            "calibration": [plain.value(sums[key]) for key in asked],
            "counted": [by_counts.value(sums[key], counts[key]) for key in asked],
        }
