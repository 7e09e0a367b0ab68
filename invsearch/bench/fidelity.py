"""``python -m invsearch.bench.fidelity``: what do rungs and promotions save, at equal hypervolume?

Searches of LCBench's surrogate with every trial trained in full, and with halving that stops or
stops and promotes, by the suite's own session. The figure of a way is the part of the epochs that
it took until the mean hypervolume was that of full training with its whole budget.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from invsearch.bench.lcbench import EPOCHS, LCBench, missing, share_of
from invsearch.runs import RunFolder, describe
from invsearch.runs.files import dump_json, write_atomic
from invsearch.search.executors.evaluate import evaluate, task_of
from invsearch.search.session import Session

__all__ = ["OUTPUT", "TASKS", "WAYS", "Way", "main", "reached"]

Array = NDArray[np.float64]

OUTPUT = Path("results/bench-fidelity.json")
TASKS = ("3945", "7593", "126026", "167168", "189866")  # of the 34: each seventh, by their numbers
TRIALS = 32  # the default budget of a search: what full training spends
GATE = 0.6  # of the epochs of full training
_MOST = 1000  # trials; epochs end a search before


@dataclass(frozen=True)
class Way:
    """A way to spend epochs.

    Attributes:
        name: What it is called.
        rungs: Where trials are judged.
        factor: Of how many one goes on.
        promote: Whether what stopped goes on when it is among the best.
    """

    name: str
    rungs: tuple[int, ...] = ()
    factor: float = 2.0
    promote: bool = False


FULL = Way("full training")
WAYS = (
    FULL,
    Way("rungs 3, 9, 27", (3, 9, 27)),
    Way("rungs 3, 9, 27, promoted", (3, 9, 27), promote=True),
    Way("rungs 3, 9, 27, one of three", (3, 9, 27), 3.0),
    Way("rungs 3, 9, 27, one of three, promoted", (3, 9, 27), 3.0, promote=True),
)


def reached(way: Way, task: str, seed: int, strategy: str, trials: int = TRIALS) -> Array:
    """The share of the hypervolume after each epoch, with the budget of so many full trainings."""
    budget = trials * EPOCHS
    with tempfile.TemporaryDirectory() as name:
        problem = LCBench(
            Path(name), task, strategy=strategy, seed=seed, rungs=way.rungs,
            reduction_factor=way.factor, promote=way.promote,
        )  # fmt: skip
        session = Session(problem, RunFolder(Path(name)), environment="", trials=_MOST, capacity=1)
        while problem.epochs < budget and (proposal := session.ask()) is not None:
            judge = partial(session.judge, proposal)
            session.finish(proposal, evaluate(problem, task_of(session, proposal), judge))
    reference, whole = problem.yardstick()
    shares, points = np.zeros(budget), []
    for epochs, error, weights in problem.reached:
        points.append((error, np.log(weights)))
        if epochs <= budget:
            shares[epochs - 1 :] = share_of(np.array(points), reference) / whole
    return shares


def summary(way: Way, curves: Array, full: Array) -> dict[str, Any]:
    """What a way has reached; curves are (searches, epochs)."""
    mean, target = curves.mean(axis=0), float(full.mean(axis=0)[-1])
    there = np.flatnonzero(mean >= target)
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
        "epochs_part": float(there[0] + 1) / full.shape[1] if len(there) else None,
        "low": float(low),
        "high": float(high),  # infinite, null in JSON, where it may not get there at all
        "hypervolume": {
            f"{part:.0%}": float(mean[int(part * len(mean)) - 1]) for part in (0.25, 0.5, 0.75, 1.0)
        },
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
    began, settings = time.process_time(), []
    for strategy in options.strategy or ["cost_aware", "random"]:
        full, rows = np.empty(0), []
        for way in WAYS:
            curves = np.array([
                reached(way, task, seed, strategy, options.trials)
                for task in TASKS for seed in range(options.seeds)
            ])  # fmt: skip
            full = curves if way is FULL else full
            rows.append(summary(way, curves, full))
            print(_line(strategy, rows[-1]), file=sys.stderr, flush=True)
        settings.append({"strategy": strategy, "ways": rows})
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
        "settings": settings,
    }
    write_atomic(options.output, dump_json(document, indent=1) + "\n")
    print(os.fspath(options.output))
    return 0


def _line(strategy: str, row: dict[str, Any]) -> str:
    part = row["epochs_part"]
    took = "never there" if part is None else f"{part:.2f} of the epochs"
    shares = ", ".join(f"{part} {value:.3f}" for part, value in row["hypervolume"].items())
    return f"{strategy}, {row['way']}: {took} ({row['low']:.2f} to {row['high']:.2f}); {shares}"


if __name__ == "__main__":
    sys.exit(main())
