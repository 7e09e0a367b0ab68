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
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from invsearch.errors import InputError, TrialError
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
from invsearch.runs.outputs import check_output, write_checked
from invsearch.runs.ranking import kendall
from invsearch.space import Architecture, load_space_file

__all__ = ["OUTPUT", "Whole", "accuracy_of", "foretold", "main"]

Array = NDArray[np.float64]

OUTPUT = Path("results/bench-composition.json")
NETWORKS = 30  # wanted; the 95 % interval of their tau is about .07 wide then, measured
JUDGED = ("torch", "compiled")  # how networks are run where nothing else is installed
AIM = {"error": 0.05, "tau": 0.95}  # wanted
_RIDGE = 1e-3  # of relative errors squared: small, it only holds features that nothing tells
_RESAMPLED = 500  # ends of a 95 % interval are then the 12th from either side


@dataclass(frozen=True)
class Whole:
    """A network that was measured whole, and what its parts take.

    Attributes:
        sums: Milliseconds of its parts by kind: the operator of a block, else stem or head.
        count: How many parts it has.
        measured_ms: What it took.
    """

    sums: Mapping[str, float]
    count: int
    measured_ms: float

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


class _Kept:
    """Milliseconds of whole networks, in a file that a kill leaves whole.

    Args:
        path: The file.
        setting: Of what space they are; another's are refused.

    Raises:
        InputError: If the file is of another space, or damaged.
    """

    def __init__(self, path: Path, setting: Mapping[str, Any]) -> None:
        self._path, self._setting = path, dict(setting)
        self.networks: dict[str, float] = {}
        if not path.exists():
            return
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
            of_another = kept["setting"] != self._setting
            self.networks = {str(key): float(ms) for key, ms in kept["networks"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{path} is damaged ({error}): remove it to begin anew") from error
        if of_another:
            raise InputError(f"{path} is of another space: choose another --folder, or remove it")

    def add(self, key: str, milliseconds: float) -> None:
        """Keep one more."""
        self.networks[key] = milliseconds
        document = {"setting": self._setting, "networks": self.networks}
        write_atomic(self._path, dump_json(document, indent=1) + "\n")


class _Bench:
    """The networks of a space in one runtime: a table, and what is foretold from it."""

    def __init__(
        self,
        problem: NetworkProblem,
        runtime: str,
        folder: Path,
        setting: Mapping[str, Any],
        *,
        undisturbed: bool,
    ) -> None:
        self._problem, self._runtime = problem, runtime
        self._target = Target(runtime=runtime, undisturbed=undisturbed)
        self._kept = _Kept(folder / f"{runtime}.networks.json", setting)
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
        while len(met) < min(count, self._problem.space.size() - len(own)):
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
        kept = self._kept.networks
        if one.key not in kept:
            spec = self._spec(one)
            reply = ask(spec, (1, spec.in_channels, *self._size), self._target)
            self._kept.add(one.key, float(reply["median_ms"]))
            _say(f"{self._runtime}, network {len(kept)}: {kept[one.key]:.4g} ms")
        return kept[one.key]

    def _whole(self, one: Architecture, measured_ms: float) -> Whole:
        sums: dict[str, float] = {}
        count = 0
        for part in network_parts(self._spec(one), *self._size):
            kind = part.kind if part.block is None else part.block.operator
            sums[kind] = sums.get(kind, 0.0) + self._table.table.entries[part.name].value
            count += 1
        return Whole(sums, count, measured_ms)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and write the file; 2 where something given cannot be used, 1 where it fails."""
    parser = argparse.ArgumentParser(prog="python -m invsearch.bench.composition")
    parser.add_argument("space", nargs="?", default="rednet")
    parser.add_argument("--set", action="append", metavar="KEY=VALUE", default=[])
    parser.add_argument("--networks", type=_positive, default=NETWORKS)
    parser.add_argument("--runtime", action="append", help=f"default: {' and '.join(JUDGED)}")
    parser.add_argument("--any-load", action="store_true", help="keep disturbed measurements")
    parser.add_argument("--folder", type=Path, default=Path("build/composition"))
    parser.add_argument("-o", "--output", type=Path, default=OUTPUT)
    options = parser.parse_args(arguments)
    words = sys.argv[1:] if arguments is None else arguments
    try:
        rows = _rows(options)
        document = {
            "kind": "composition",
            "command": ["python", "-m", "invsearch.bench.composition", *words],
            "environment": describe(),
            "space": options.space,
            "set": options.set,
            "aim": AIM,
            "rows": rows,
        }
        write_checked(options.output, dump_json(document, indent=1) + "\n")
    except (InputError, TrialError) as error:
        _say(f"composition: {error}")
        return 2 if isinstance(error, InputError) else 1
    for row in rows:
        for way, found in row["ways"].items():
            _say(_line(row["runtime"], way, found))
    print(os.fspath(options.output))
    return 0


def _rows(options: argparse.Namespace) -> list[dict[str, Any]]:
    problem = problem_of(load_space_file(options.space, options.set))
    if not isinstance(problem, NetworkProblem):
        raise InputError(f"{options.space} is no space of networks: nothing of it has blocks")
    check_output(options.output)
    options.folder.mkdir(parents=True, exist_ok=True)
    setting, undisturbed = {"space": options.space, "set": options.set}, not options.any_load
    return [
        _Bench(problem, runtime, options.folder, setting, undisturbed=undisturbed).row(
            options.networks
        )
        for runtime in options.runtime or JUDGED
    ]


def _positive(text: str) -> int:
    if int(text) < 1:
        raise ValueError
    return int(text)


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
