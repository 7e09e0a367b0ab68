"""``python -m invsearch.bench.hints``: do hints of cheap sources help a search, and harm it little?

Searches over tables whose whole truth is known observe it with noise of the size that seeds have on
the default space. Each is run without hints, with two that know nothing, and with two that know
much. As in a run, a source is asked about 64 architectures and a model of its answers is the hint.
The score is the share of the true hypervolume, by true values; the cost of hints is in trials: how
many a search with hints needs to reach what one without reaches in the budget.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, cached_property
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray

from invsearch.bench import nas_bench_macro
from invsearch.bench.beliefs import RATIO
from invsearch.runs import describe, hypervolume
from invsearch.runs.files import dump_json, write_atomic
from invsearch.runs.ranking import kendall
from invsearch.search.sampler import CostAwareSampler
from invsearch.search.trusting import TrustingSampler
from invsearch.search.warm_start import Additive

__all__ = ["KINDS", "OUTPUT", "Table", "curve", "main", "summary", "tables"]

Array = NDArray[np.float64]
Point = Mapping[str, Any]

OUTPUT = Path("results/bench-hints.json")
TRIALS = 32  # of the default space
BEYOND = 1.25  # how much longer searches with hints run, so that a loss shows in trials too
GOOD_TRIALS = 0.75  # of those without hints: what good ones may take to reach the same
USELESS_SHARE = 0.95  # of the hypervolume without hints: what useless ones must leave
KINDS = ("none", "useless", "good")
FORMS = ("useless", "good", "useless, always taken", "good, always taken")
"""What is compared with no hints: as in a run, and as the model alone would take them."""
_ASKED = 64  # architectures, as in a run
_NOISE = 0.6  # of good answers, in deviations of the truth: a tau of about .6, a supernet's
_SOURCES = 2  # of a kind and independent: a search has several to weigh


@dataclass(frozen=True)
class Table:
    """A problem whose whole truth is known.

    Attributes:
        name: What it is called.
        points: Every architecture.
        losses: True, lower for the better.
        costs: Known before an evaluation.
    """

    name: str
    points: tuple[dict[str, Any], ...]
    losses: Array
    costs: Array

    @cached_property
    def place(self) -> dict[tuple[Any, ...], int]:
        """Where a point is, by its values."""
        return {tuple(point.values()): index for index, point in enumerate(self.points)}

    @cached_property
    def spread(self) -> float:
        """Deviation of the losses, by quartiles: nobody looks twice at the worst networks."""
        low, high = np.percentile(self.losses, [25, 75])
        return float(high - low) / 1.349  # quartiles of the normal are 1.349 deviations apart

    @cached_property
    def reference(self) -> tuple[Array, float]:
        """The worst corner and the volume of the true front."""
        both = np.stack([self.losses, self.costs], axis=1)
        return both.max(axis=0), hypervolume(both, both.max(axis=0))

    def share(self, found: Sequence[int]) -> float:
        """The share of the true hypervolume that these architectures have."""
        corner, volume = self.reference
        both = np.stack([self.losses[list(found)], self.costs[list(found)]], axis=1)
        return hypervolume(both, corner) / volume

    def space(self) -> dict[str, optuna.distributions.BaseDistribution]:
        """Its parameters."""
        values = {n: list(dict.fromkeys(p[n] for p in self.points)) for n in self.points[0]}
        return {n: optuna.distributions.CategoricalDistribution(v) for n, v in values.items()}


@cache
def simulated(seed: int) -> Table:
    """A world like the default space: size helps most, choices and pairs of them a little."""
    rng = np.random.default_rng(seed)
    names = ["width", *(f"stage{n}.{what}" for n in (1, 2, 3, 4) for what in ("op", "kernel"))]
    stage: list[list[float]] = [[0, 1], [3, 5, 7]]
    values = [[0.25, 0.5, 0.75, 1.0], *(stage * 4)]
    rows = np.array(list(itertools.product(*map(range, map(len, values)))))
    hot = np.concatenate([np.eye(len(v))[rows[:, j]] for j, v in enumerate(values)], axis=1)
    many = int(hot.shape[1])
    weights = rng.uniform(0.5, 1.5, many)
    costs = np.square(np.array(values[0])[rows[:, 0]]) * (1 + hot[:, 4:] @ weights[4:])
    pairs = rng.normal(size=(many, many)) / many**0.5
    losses = -np.log(costs) + 0.5 * hot @ rng.normal(size=many)
    losses = losses + 0.5 * np.einsum("ni,ij,nj->n", hot, pairs, hot)
    points = tuple({name: values[j][int(row[j])] for j, name in enumerate(names)} for row in rows)
    return Table("simulated", points, losses - losses.min() + 0.1, costs)


@cache
def macro() -> Table:
    """NAS-Bench-Macro's mean errors against multiply-adds."""
    points = []
    for key in nas_bench_macro.table():
        names = (f"p{place}" for place in range(1, 9))
        points.append(dict(zip(names, key, strict=True)))
    entries = list(nas_bench_macro.table().values())
    losses = np.array([100 - entry["mean_acc"] for entry in entries])
    costs = np.array([float(entry["flops"]) for entry in entries])
    return Table("NAS-Bench-Macro", tuple(points), losses, costs)


tables: Mapping[str, Callable[[int], Table]] = {
    "simulated": simulated,
    "NAS-Bench-Macro": lambda seed: macro(),
}
"""By name, the problem of a seed."""


def hints_of(table: Table, kind: str, seed: int) -> list[Additive]:
    """The models of what sources of a kind said of the architectures that they were asked about."""
    if kind == "none":
        return []
    rng, models = np.random.default_rng([seed, KINDS.index(kind)]), []
    for _ in range(_SOURCES):
        asked = rng.choice(len(table.points), _ASKED, replace=False)
        noise = rng.normal(size=_ASKED)
        truth = (table.losses[asked] - table.losses.mean()) / table.spread
        answers = truth + _NOISE * noise if kind == "good" else noise
        models.append(Additive([table.points[i] for i in asked], answers.tolist()))
    return models


def curve(table: Table, kind: str, seed: int, trials: int, *, trusting: bool = True) -> list[float]:
    """The share of the true hypervolume after each trial of a search.

    Args:
        table: What is searched.
        kind: Of hints.
        seed: Of the search, its noise and its hints.
        trials: Of the search.
        trusting: Whether a hint counts only where the trials bear it out, as in a run.
    """
    models, rng = hints_of(table, kind, seed), np.random.default_rng([seed, 7])
    sampler = _sampler(table, models, seed, trusting=trusting)
    study = optuna.create_study(directions=["minimize", "minimize"], sampler=sampler)
    found, shares = list[int](), list[float]()
    for _ in range(trials):
        trial = study.ask(table.space())
        index = _index(table, trial.params)
        seen = float(table.losses[index] + RATIO * table.spread * rng.normal())
        study.tell(trial, [max(seen, 1e-3), float(table.costs[index])])
        found.append(index)
        shares.append(table.share(found))
    return shares


def _sampler(
    table: Table, models: Sequence[Additive], seed: int, *, trusting: bool
) -> optuna.samplers.BaseSampler:
    def costs(params: Point) -> dict[int, float]:
        return {1: float(table.costs[_index(table, params)])}

    def told(params: Point) -> list[float]:
        return [model(params) for model in models]

    def make(hints: Callable[[Point], Sequence[float]] | None) -> CostAwareSampler:
        return CostAwareSampler(
            table.space(), costs=costs, candidates=table.points, hints=hints, seed=seed
        )

    if not models:
        return make(None)
    return TrustingSampler(make, told, len(models), costs, [0]) if trusting else make(told)


def _index(table: Table, params: Point) -> int:
    return table.place[tuple(params[name] for name in table.points[0])]


def summary(name: str, seeds: int, trials: int = TRIALS) -> dict[str, Any]:
    """Compare the kinds on a table, over seeds."""
    longer = int(BEYOND * trials)

    def mean(kind: str, *, trusting: bool = True) -> Array:
        searches = (
            curve(tables[name](seed), kind, seed, longer, trusting=trusting)
            for seed in range(seeds)
        )
        return np.asarray(np.mean(list(searches), axis=0))

    plain = mean("none")
    target = float(plain[trials - 1])
    hints: dict[str, dict[str, float]] = {}
    for form in FORMS:
        kind, _, always = form.partition(", ")
        found = mean(kind, trusting=not always)
        share, needed = float(found[trials - 1]), _reached(found, target)
        hints[form] = {
            "tau": _tau(name, kind, seeds),
            "share": share,
            "trials_needed": needed,
            "trials_share": needed / _reached(plain, target),
            "regret_share": (1 - share) / (1 - target),
        }
    return {"table": name, "seeds": seeds, "trials": trials, "share": target, "hints": hints}


def _reached(mean: Array, target: float) -> float:
    """After how many trials a mean curve reaches a share, within a trial; infinity: never."""
    above = np.flatnonzero(mean >= target - 1e-12)
    if not len(above):
        return float("inf")
    last = int(above[0])
    if last == 0:
        return 1.0
    before = float(mean[last - 1])
    return last + (target - before) / (float(mean[last]) - before)


def _tau(name: str, kind: str, seeds: int) -> float:
    """How well a hint ranks the whole table, the mean over seeds."""
    found = []
    for seed in range(seeds):
        table = tables[name](seed)
        model = hints_of(table, kind, seed)[0]
        told = np.array([model(point) for point in table.points])
        found.append(kendall(told, table.losses) or 0.0)
    return float(np.mean(found))


def passes(found: Mapping[str, Any]) -> bool:
    """Whether good hints save a quarter of the trials, and useless ones cost at most 5 %."""
    good, useless = (found["hints"][kind] for kind in ("good", "useless"))
    enough = useless["share"] >= USELESS_SHARE * found["share"]
    return bool(good["trials_share"] <= GOOD_TRIALS and enough)


def _timed(name: str, seeds: int) -> dict[str, Any]:
    """The comparison on a table, and the CPU seconds it took."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    began = time.process_time()
    return {**summary(name, seeds), "cpu_seconds": time.process_time() - began}


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare, write the file, and tell whether the gate is passed everywhere."""
    parser = argparse.ArgumentParser(prog="python -m invsearch.bench.hints", description=__doc__)
    parser.add_argument("--seeds", type=int, default=20, help="searches of each kind")
    parser.add_argument("--tables", default=",".join(tables), help="separated by commas")
    parser.add_argument("--workers", type=int, default=1, help="processes, a table each")
    parser.add_argument("-o", "--output", type=Path, default=OUTPUT)
    options = parser.parse_args(arguments)
    names = options.tables.split(",")
    with ProcessPoolExecutor(options.workers, mp_context=get_context("spawn")) as pool:
        found = list(pool.map(_timed, names, [options.seeds] * len(names)))
    rows = [{**row, "passed": passes(row)} for row in found]
    print(json.dumps(rows), file=sys.stderr)
    document = {
        "kind": "hints",
        "command": ["python", "-m", "invsearch.bench.hints", "--seeds", str(options.seeds)],
        "environment": describe(),
        "gate": {"good_trials_share": GOOD_TRIALS, "useless_hypervolume_share": USELESS_SHARE},
        "tables": rows,
    }
    write_atomic(options.output, dump_json(document, indent=1) + "\n")
    print(json.dumps({"written": os.fspath(options.output)}))
    return int(not all(row["passed"] for row in rows))


if __name__ == "__main__":
    sys.exit(main())
