"""``python -m invsearch.bench.fidelity``: what do rungs and promotions save, at equal hypervolume?

Searches of LCBench's surrogate with every trial trained in full, and with halving that stops or
stops and promotes, by the suite's own session; and one that a model of the curves allocates, which
is of this bench alone. The figure of a way is the part of the epochs that it took until the mean
hypervolume was that of full training with its whole budget.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from invsearch.bench.allocation import Allocation
from invsearch.bench.lcbench import EPOCHS, LCBench, missing, share_of
from invsearch.runs import RunFolder, describe
from invsearch.runs.files import dump_json, write_atomic
from invsearch.search.executors.evaluate import evaluate, task_of
from invsearch.search.session import Session
from invsearch.surrogate.threads import one_thread

__all__ = [
    "ALLOCATED",
    "FULL",
    "OUTPUT",
    "TASKS",
    "WAYS",
    "Way",
    "main",
    "peers",
    "reached",
    "summary",
]

Array = NDArray[np.float64]

OUTPUT = Path("results/bench-fidelity.json")
TASKS = ("3945", "7593", "126026", "167168", "189866")  # of the 34: each seventh, by their numbers
TRIALS = 32  # the default budget of a search: what full training spends
GATE = 0.6  # of the epochs of full training: what promotion has to save
MODEL_GATE = 0.5  # of the epochs of the best peer: what the allocation has to
PEERS = ("tpe", "gp")  # strategies that the allocation is compared with, trained in full
PARTS = (0.25, 0.5, 0.75, 1.0)  # of the budget, at which the hypervolume is told
_MOST = 1000  # trials; epochs end a search before


@dataclass(frozen=True)
class Way:
    """A way to spend epochs.

    Attributes:
        name: What it is called.
        rungs: Where trials are judged.
        factor: Of how many one goes on.
        promote: Whether what stopped goes on when it is among the best.
        allocated: Whether a model says who goes on (:mod:`invsearch.bench.allocation`).
    """

    name: str
    rungs: tuple[int, ...] = ()
    factor: float = 2.0
    promote: bool = False
    allocated: bool = False


FULL = Way("full training")
WAYS = (
    FULL,
    Way("rungs 3, 9, 27", (3, 9, 27)),
    Way("rungs 3, 9, 27, promoted", (3, 9, 27), promote=True),
    Way("rungs 3, 9, 27, one of three", (3, 9, 27), 3.0),
    Way("rungs 3, 9, 27, one of three, promoted", (3, 9, 27), 3.0, promote=True),
)
ALLOCATED = Way("rungs 3, 9, 27, allocated by a model", (3, 9, 27), allocated=True)


def reached(way: Way, task: str, seed: int, strategy: str, trials: int = TRIALS) -> Array:
    """The share of the hypervolume after each epoch, with the budget of so many full trainings."""
    budget = trials * EPOCHS
    search = _allocated if way.allocated else _searched
    with tempfile.TemporaryDirectory() as name:
        problem = LCBench(
            Path(name), task, strategy=strategy, seed=seed, rungs=way.rungs,
            reduction_factor=way.factor, promote=way.promote,
        )  # fmt: skip
        found = search(problem, Path(name), budget)
    reference, whole = problem.yardstick()
    shares, points = np.zeros(budget), []
    for epochs, error, weights in found:
        points.append((error, np.log(weights)))
        if epochs <= budget:
            shares[epochs - 1 :] = share_of(np.array(points), reference) / whole
    return shares


def _searched(problem: LCBench, folder: Path, budget: int) -> list[tuple[int, float, float]]:
    session = Session(problem, RunFolder(folder), environment="", trials=_MOST, capacity=1)
    while problem.epochs < budget and (proposal := session.ask()) is not None:
        judge = partial(session.judge, proposal)
        session.finish(proposal, evaluate(problem, task_of(session, proposal), judge))
    return problem.reached


def _allocated(problem: LCBench, _: Path, budget: int) -> list[tuple[int, float, float]]:
    search = problem.file.search
    allocation = Allocation(problem, search.rungs, search.seed or 0)
    with one_thread():
        while allocation.epochs < budget:
            allocation.step()
    return allocation.reached


def summary(way: Way, curves: Array, full: Array) -> dict[str, Any]:
    """What a way has reached; curves are (searches, epochs)."""
    mean = curves.mean(axis=0)
    rng, parts = np.random.default_rng(0), []
    for _ in range(1000):  # searches drawn anew, each with its own full training
        drawn = rng.integers(len(curves), size=len(curves))
        goal = full[drawn].mean(axis=0)[-1]
        at = np.flatnonzero(curves[drawn].mean(axis=0) >= goal)
        parts.append((at[0] + 1) / full.shape[1] if len(at) else np.inf)
    low, high = np.quantile(parts, [0.025, 0.975], method="nearest")
    return {
        "way": way.name,
        "rungs": list(way.rungs),
        "reduction_factor": way.factor,
        "promote": way.promote,
        "epochs_part": _part(curves, full),
        "low": float(low),
        "high": float(high),  # infinite, null in JSON, where it may not get there at all
        "hypervolume": {f"{part:.0%}": float(mean[int(part * len(mean)) - 1]) for part in PARTS},
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare and write the file; where the table is missing say so and leave."""
    parser = argparse.ArgumentParser(prog="python -m invsearch.bench.fidelity", description=__doc__)
    parser.add_argument("--seeds", type=int, default=4, help="searches of each task")
    parser.add_argument("--strategy", action="append", help="default: cost_aware and random")
    parser.add_argument("--trials", type=int, default=TRIALS, help="full trainings of the budget")
    parser.add_argument("-o", "--output", type=Path, default=OUTPUT)
    options = parser.parse_args(arguments)
    if reason := missing():
        print(f"skipped: {reason}", file=sys.stderr)
        return 0
    began, strategies = time.process_time(), options.strategy or ["cost_aware", "random", *PEERS]
    found = {
        (strategy, way): _curves(strategy, way, options.seeds, options.trials)
        for strategy in strategies
        for way in _ways(strategy)
    }
    document = {
        "kind": "fidelity",
        "command": ["python", "-m", "invsearch.bench.fidelity", "--seeds", str(options.seeds)],
        "environment": describe(),
        "cpu_seconds": time.process_time() - began,
        "table": "yahpo_lcbench",
        "tasks": list(TASKS),
        "seeds": options.seeds,
        "trials": options.trials,
        "gate": GATE,
        "settings": [
            {
                "strategy": strategy,
                "ways": [
                    summary(way, found[strategy, way], found[strategy, FULL])
                    for way in _ways(strategy)
                ],
            }
            for strategy in strategies
        ],
        "model_gate": MODEL_GATE,
        "peers": peers(found),
    }
    write_atomic(options.output, dump_json(document, indent=1) + "\n")
    print(os.fspath(options.output))
    return 0


def _ways(strategy: str) -> tuple[Way, ...]:
    if strategy in PEERS:
        return (FULL,)
    return (*WAYS, ALLOCATED) if strategy == "cost_aware" else WAYS


def _curves(strategy: str, way: Way, seeds: int, trials: int) -> Array:
    """The searches of every task and seed: (searches, epochs)."""
    curves = np.array([
        reached(way, task, seed, strategy, trials) for task in TASKS for seed in range(seeds)
    ])  # fmt: skip
    mean = curves.mean(axis=0)
    shares = ", ".join(f"{part:.0%} {mean[int(part * len(mean)) - 1]:.3f}" for part in PARTS)
    print(f"{strategy}, {way.name}: {shares}", file=sys.stderr, flush=True)
    return curves


def peers(found: Mapping[tuple[str, Way], Array]) -> list[dict[str, Any]]:
    """Which part of the budget the allocation takes to what each other way comes to in the end.

    Args:
        found: By strategy and way, the shares of the hypervolume (searches, epochs).
    """
    allocated = found.get(("cost_aware", ALLOCATED))
    if allocated is None:
        return []
    others = [key for key in found if key[0] != "random" and not key[1].allocated]
    return [
        {
            "peer": f"{strategy}, {way.name}",
            "hypervolume": float(found[strategy, way].mean(axis=0)[-1]),
            "epochs_part": _part(allocated, found[strategy, way]),
        }
        for strategy, way in others
    ]


def _part(curves: Array, goal: Array) -> float | None:
    """The part of the epochs after which the mean is that of ``goal`` in the end; None: never."""
    there = np.flatnonzero(curves.mean(axis=0) >= goal.mean(axis=0)[-1])
    return float(there[0] + 1) / goal.shape[1] if len(there) else None


if __name__ == "__main__":
    sys.exit(main())
