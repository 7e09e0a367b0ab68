"""``python -m invsearch.bench.composition``: how well do measured blocks foretell whole networks?

A latency table of a space is measured as a search measures it, its eight whole networks included;
then random networks that are not among those eight are predicted from it and measured whole, each
in a fresh process. Per runtime, over these networks: the relative error and Kendall's tau of

- the plain sum of the blocks,
- the table's fit, a ratio and a constant from its eight networks, which searches use,
- and, told all the other measured networks (leave one out), the same fit, and a ridge regression
  on the sums by operator and the number of blocks, to learn what more networks, or more features,
  would bring.

Where a runtime does not time blocks (``compiled``), eager blocks are fitted to networks it ran.
What was measured is kept beside the tables in ``--folder``: a run that was cut off goes on there.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from invsearch.errors import TrialError
from invsearch.latency.calibration import calibrate
from invsearch.latency.measured import ask
from invsearch.latency.parts import network_parts
from invsearch.latency.runtimes import Runtime
from invsearch.latency.table import CalibrationNetwork
from invsearch.latency.tabled import TabledLatency
from invsearch.latency.target import Target
from invsearch.models import NetworkSpec
from invsearch.plugins import RUNTIMES
from invsearch.problem.kinds import problem_of
from invsearch.problem.network import NetworkProblem
from invsearch.runs import describe
from invsearch.runs.files import dump_json, write_atomic
from invsearch.runs.ranking import kendall
from invsearch.space import Architecture, load_space_file

__all__ = ["OUTPUT", "Whole", "accuracy_of", "foretold", "main"]

Array = NDArray[np.float64]

OUTPUT = Path("results/bench-composition.json")
NETWORKS = 30
JUDGED = ("torch", "compiled")
AIM = {"error": 0.05, "tau": 0.95}
_RIDGE = 1e-3  # of relative errors squared: small, it only holds features that nothing tells
_RESAMPLED = 500


class Whole:
    """A network that was measured whole, and what its parts take.

    Args:
        sums: Milliseconds of its parts by kind: the operator of a block, else stem or head.
        count: How many parts it has.
        measured_ms: What it took.
    """

    def __init__(self, sums: Mapping[str, float], count: int, measured_ms: float) -> None:
        self.sums, self.count, self.measured_ms = dict(sums), count, measured_ms

    @property
    def sum_ms(self) -> float:
        return float(sum(self.sums.values()))


def foretold(
    wholes: Sequence[Whole], told: Sequence[tuple[float, float]]
) -> dict[str, list[float]]:
    """What each way says that the networks take, in milliseconds, by the way's name.

    Args:
        wholes: The networks that are foretold.
        told: (sum of the parts, measured) of the table's own networks.
    """
    fit = calibrate([total for total, _ in told], [measured for _, measured in told])
    others = [[other for other in wholes if other is not one] for one in wholes]
    return {
        "sum": [one.sum_ms for one in wholes],
        "fit": [fit.value(one.sum_ms) for one in wholes],
        "fit to the others": [
            calibrate([o.sum_ms for o in rest], [o.measured_ms for o in rest]).value(one.sum_ms)
            for one, rest in zip(wholes, others, strict=True)
        ],
        "ridge on the others": [
            _ridge(rest, one) for one, rest in zip(wholes, others, strict=True)
        ],
    }


def _ridge(known: Sequence[Whole], one: Whole) -> float:
    """By sums of each kind, the number of parts and a constant; relative errors are squared.

    What shrinks are the differences from one ratio for every kind.
    """
    kinds = sorted({kind for whole in [*known, one] for kind in whole.sums})

    def row(whole: Whole) -> Array:
        by_kind = [whole.sums.get(kind, 0.0) for kind in kinds]
        return np.array([whole.sum_ms, *by_kind, float(whole.count), 1.0])

    measured = np.array([whole.measured_ms for whole in known])
    design = np.stack([row(whole) for whole in known]) / measured[:, None]
    scale = np.sqrt((design**2).mean(axis=0)) + 1e-12
    free = np.diag([0.0, *[_RIDGE * len(known)] * (design.shape[1] - 1)])
    z = design / scale
    weights = np.linalg.solve(z.T @ z + free + 1e-12 * np.eye(len(free)), z.sum(axis=0)) / scale
    return float(row(one) @ weights)


def accuracy_of(foretold_ms: Sequence[float], measured_ms: Sequence[float]) -> dict[str, Any]:
    """Median and 90th percentile of the relative error, and tau; 95 % intervals over networks."""
    said, true = np.array(foretold_ms), np.array(measured_ms)
    rng = np.random.default_rng(0)
    drawn = [rng.integers(len(true), size=len(true)) for _ in range(_RESAMPLED)]

    def error(quantile: float) -> Callable[[Array, Array], float]:
        return lambda s, t: float(np.quantile(np.abs(s / t - 1.0), quantile))

    def tau(s: Array, t: Array) -> float:
        return kendall(s, t) or 0.0

    found = {}
    for name, figure in (("median_error", error(0.5)), ("p90_error", error(0.9)), ("tau", tau)):
        again = [figure(said[rows], true[rows]) for rows in drawn]
        low, high = np.quantile(again, [0.025, 0.975])
        found[name] = {"value": figure(said, true), "low": float(low), "high": float(high)}
    return found


class _Bench:
    """The networks of a space in one runtime: a table, and what is foretold from it."""

    def __init__(
        self, problem: NetworkProblem, runtime: str, folder: Path, *, undisturbed: bool
    ) -> None:
        self._problem, self._runtime = problem, runtime
        self._target = Target(runtime=runtime, undisturbed=undisturbed)
        self._path = folder / f"{runtime}.networks.json"
        self._kept = json.loads(self._path.read_text()) if self._path.exists() else {}
        # blocks are not timed compiled: eager ones are fitted to compiled networks then
        blocks = "torch" if not RUNTIMES.get(runtime, Runtime).parts else runtime
        target = Target(runtime=blocks, undisturbed=undisturbed)
        self._size = (problem.setting.resolution,) * 2
        self._table = TabledLatency(
            folder / f"{blocks}.table.json", problem.space, self._spec, target,
            (1, *self._size), _say,
        )  # fmt: skip

    def _spec(self, values: Any) -> NetworkSpec:
        spec = self._problem.spec(values)
        assert isinstance(spec, NetworkSpec)
        return spec

    def row(self, count: int) -> dict[str, Any]:
        """Measure what is missing, and judge."""
        self._table.prepare()
        table = self._table.table
        wholes = [self._whole(a, ms) for a, ms in self._measured(count)]
        told = [(one.sum_ms, self._measured_ms(one)) for one in table.networks]
        true = [one.measured_ms for one in wholes]
        return {
            "runtime": self._runtime,
            "blocks": len(table.entries),
            "networks": len(wholes),
            "least_ms": min(true),
            "most_ms": max(true),
            "ways": {way: accuracy_of(said, true) for way, said in foretold(wholes, told).items()},
            "each": [
                {"sum_ms": one.sum_ms, "measured_ms": one.measured_ms, "parts": one.count}
                for one in wholes
            ],
        }

    def _measured(self, count: int) -> Iterator[tuple[Architecture, float]]:
        """Random networks that are not the table's own, with milliseconds."""
        own = [network.architecture for network in self._table.table.networks]
        rng, met = random.Random(2), set[str]()
        while len(met) < count:
            one = self._problem.space.sample(rng)
            if one.key not in met and one.to_json() not in own:
                met.add(one.key)
                yield one, self._ask(one)

    def _measured_ms(self, network: CalibrationNetwork) -> float:
        """Of one of the table's own networks."""
        if self._table.table.under["runtime"] == self._runtime:
            return network.latency.value
        return self._ask(Architecture(tuple(network.architecture.items())))

    def _ask(self, one: Architecture) -> float:
        """Milliseconds of a network, from what was kept or measured now."""
        if one.key not in self._kept:
            spec = self._spec(one)
            reply = ask(spec, (1, spec.in_channels, *self._size), self._target)
            self._kept[one.key] = reply["median_ms"]
            write_atomic(self._path, dump_json(self._kept, indent=1) + "\n")
            _say(f"{self._runtime}, network {len(self._kept)}: {self._kept[one.key]:.4g} ms")
        return float(self._kept[one.key])

    def _whole(self, one: Architecture, measured_ms: float) -> Whole:
        sums: dict[str, float] = {}
        count = 0
        for part in network_parts(self._spec(one), *self._size):
            kind = part.kind if part.block is None else part.block.operator
            sums[kind] = sums.get(kind, 0.0) + self._table.table.entries[part.name].value
            count += 1
        return Whole(sums, count, measured_ms)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and write the file."""
    parser = argparse.ArgumentParser(prog="python -m invsearch.bench.composition")
    parser.add_argument("space", nargs="?", default="rednet")
    parser.add_argument("--set", action="append", metavar="KEY=VALUE", default=[])
    parser.add_argument("--networks", type=int, default=NETWORKS)
    parser.add_argument("--runtime", action="append", help=f"default: {' and '.join(JUDGED)}")
    parser.add_argument("--any-load", action="store_true", help="keep disturbed measurements")
    parser.add_argument("--folder", type=Path, default=Path("build/composition"))
    parser.add_argument("-o", "--output", type=Path, default=OUTPUT)
    options = parser.parse_args(arguments)
    problem = problem_of(load_space_file(options.space, options.set))
    assert isinstance(problem, NetworkProblem)
    options.folder.mkdir(parents=True, exist_ok=True)
    began, rows = time.monotonic(), []
    for runtime in options.runtime or JUDGED:
        try:
            bench = _Bench(problem, runtime, options.folder, undisturbed=not options.any_load)
            rows.append(bench.row(options.networks))
        except TrialError as error:
            _say(f"{runtime}: {error}")
            return 1
    document = {
        "kind": "composition",
        "command": ["python", "-m", "invsearch.bench.composition", *(arguments or sys.argv[1:])],
        "environment": describe(),
        "seconds": time.monotonic() - began,
        "space": options.space,
        "set": options.set,
        "aim": AIM,
        "rows": rows,
    }
    write_atomic(options.output, dump_json(document, indent=1) + "\n")
    for row in rows:
        for way, found in row["ways"].items():
            _say(_line(row["runtime"], way, found))
    print(os.fspath(options.output))
    return 0


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _line(runtime: str, way: str, found: Mapping[str, Mapping[str, float]]) -> str:
    median, ninety, tau = (found[name] for name in ("median_error", "p90_error", "tau"))
    return (
        f"{runtime}, {way}: error {median['value']:.1%} ({median['low']:.1%} to"
        f" {median['high']:.1%}), 90th percentile {ninety['value']:.1%}, tau {tau['value']:.3f}"
        f" ({tau['low']:.3f} to {tau['high']:.3f})"
    )


if __name__ == "__main__":
    sys.exit(main())
