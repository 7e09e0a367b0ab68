"""``python -m invsearch.bench.fidelity_trained``: rungs and promotions on a space of ours.

Searches of the space with networks that are really trained, each with the epochs of so many full
trainings: every trial trained in full, and with halving that stops or stops and promotes. The
figure of a way is the part of the epochs that it took until the mean hypervolume was that of full
training with its whole budget. Epochs are counted, not seconds, so that other work on the machine
changes nothing. The same command goes on where it was cut off.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from invsearch.bench.fidelity import FULL, GATE, TRIALS, Way, summary
from invsearch.errors import InputError
from invsearch.problem.kinds import problem_of
from invsearch.runs import RunFolder, describe, hypervolume
from invsearch.runs.files import append_lines, dump_json, write_atomic
from invsearch.runs.front import oriented
from invsearch.runs.lines import LineFile, cut_torn_end, read_lines
from invsearch.runs.outputs import check_output
from invsearch.search.executors.evaluate import evaluate, task_of
from invsearch.search.sampler.boxes import non_dominated
from invsearch.search.session import Session
from invsearch.space import SpaceFile, load_space_file

__all__ = ["WAYS", "Kept", "Search", "curves", "main", "searched"]

Array = NDArray[np.float64]

# Of five epochs: the rung that is shipped, alone and promoted, and the earliest one beside it.
WAYS = (
    FULL,
    Way("rungs 3", (3,)),  # as the space is shipped
    Way("rungs 3, promoted", (3,), promote=True),
    Way("rungs 1, 3, promoted", (1, 3), promote=True),
)
_MOST = 1000  # trials; epochs end a search before
_MARGIN = 0.1  # of the front's extent, beyond its worst values: the reference


@dataclass(frozen=True)
class Search:
    """One search.

    Attributes:
        way: Name of its way.
        seed: Of the search.
        found: For each complete trial, in order: epochs spent until then, and its objectives, all
            minimised, counted ones by their logarithm.
    """

    way: str
    seed: int
    found: tuple[tuple[int, tuple[float, ...]], ...]

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Search:
        found = tuple((int(epochs), tuple(map(float, values))) for epochs, values in data["found"])
        return cls(str(data["way"]), int(data["seed"]), found)


class Kept:
    """The searches that are done, a line each in a file: after a kill the rest goes on there.

    Args:
        path: The file.
        comparison: What is compared, as plain data: its first line.

    Raises:
        InputError: If the file is of another comparison, or damaged.
    """

    def __init__(self, path: Path, comparison: dict[str, Any]) -> None:
        self._path, self.searches = path, list[Search]()
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            append_lines(path, dump_json(comparison))
            return
        log: LineFile[dict[str, Any]] = read_lines(path, dict)
        cut_torn_end(path, log)
        head, *rest = log.records or [{}]
        try:
            self.searches = [Search.from_json(line) for line in rest]
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{path} is damaged ({error}): remove it to begin anew") from error
        if head != json.loads(dump_json(comparison)):
            raise InputError(f"{path} is of another comparison: finish that one, or remove it")

    def add(self, search: Search) -> None:
        """Keep one more."""
        self.searches.append(search)
        append_lines(self._path, dump_json(asdict(search)))

    def done(self) -> None:
        """Remove the file."""
        self._path.unlink(missing_ok=True)


def searched(space: SpaceFile, way: Way, seed: int, budget: int) -> Search:
    """Search a space with so many epochs, in this process.

    Args:
        space: What is searched; how, but for the way and the seed, is as it says.
        way: How the epochs are spent.
        seed: Of the search.
        budget: Epochs, counted when a trial ends or pauses.
    """
    settings = {
        "rungs": way.rungs, "reduction_factor": way.factor, "promote": way.promote, "seed": seed,
        "replicates": 0, "early_replicates": 0,
    }  # fmt: skip
    problem = problem_of(replace(space, search=space.search.model_copy(update=settings)))
    found: list[tuple[int, tuple[float, ...]]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = RunFolder(name)
        problem.check()
        problem.prepare(folder, lambda text: None)
        session = Session(problem, folder, environment="", trials=_MOST, capacity=1)
        epochs = 0
        while epochs < budget and (proposal := session.ask()) is not None:
            judge = partial(session.judge, proposal)
            session.finish(proposal, evaluate(problem, task_of(session, proposal), judge))
            epochs = _lines(folder.curves_path)
            trial = next(one for one in folder.trials() if one.number == proposal.number)
            if trial.state == "complete":
                (values,) = oriented([trial], problem.objectives)
                found.append((epochs, _scaled(values, problem.objectives, problem.sources())))
        session.close()
    return Search(way.name, seed, tuple(found))


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def _scaled(values: Array, names: Iterable[str], sources: Mapping[str, str]) -> tuple[float, ...]:
    """What is not trained is a cost, whose ratios matter."""
    return tuple(
        float(value if sources.get(name) == "trained" or value <= 0 else np.log(value))
        for value, name in zip(values, names, strict=True)
    )


def curves(searches: Sequence[Search], budget: int) -> dict[str, Array]:
    """By way, the share of the hypervolume after each epoch: (seeds, budget).

    The whole is what all searches found together, up to the worst values of its front and a tenth
    of its extent.
    """
    points = np.array([values for search in searches for _, values in search.found])
    front = points[non_dominated(points)]
    reference = front.max(axis=0) + _MARGIN * np.ptp(front, axis=0)
    whole = hypervolume(front, reference)
    found: dict[str, list[Array]] = {}
    for search in sorted(searches, key=lambda one: one.seed):
        shares, so_far = np.zeros(budget), []
        for epochs, values in search.found:
            so_far.append(values)
            if epochs <= budget:
                shares[epochs - 1 :] = hypervolume(so_far, reference) / whole
        found.setdefault(search.way, []).append(shares)
    return {way: np.array(rows) for way, rows in found.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare and write the file; what cannot be used is one line, and 2."""
    try:
        return _main(sys.argv[1:] if arguments is None else arguments)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2


def _main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m invsearch.bench.fidelity_trained", description=__doc__
    )
    parser.add_argument("--space", default="rednet", help="a space of trainings")
    parser.add_argument("--set", action="append", default=[], help="A.B=C, as of invsearch run")
    parser.add_argument("--seeds", type=int, default=4, help="searches of each way")
    parser.add_argument("--trials", type=int, default=TRIALS, help="full trainings of the budget")
    parser.add_argument("--workers", type=int, default=1, help="searches at a time")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args(arguments)
    if min(options.seeds, options.trials, options.workers) < 1:
        raise InputError("--seeds, --trials and --workers: one at least")
    space = load_space_file(options.space, options.set)
    if space.accuracy is None:
        raise InputError(f"{space.path}: nothing is trained there: no epochs to save")
    output = options.output or Path(f"results/bench-fidelity-{space.slug}.json")
    budget = options.trials * space.accuracy.epochs
    check_output(output)
    ways = [asdict(way) for way in WAYS]
    commit = describe()["commit"]
    comparison = {"space": space.text, "budget": budget, "ways": ways, "commit": commit}
    kept = Kept(output.with_suffix(".part"), comparison)
    _search_all(space, options.seeds, budget, options.workers, kept)
    found = curves([one for one in kept.searches if one.seed < options.seeds], budget)
    document = {
        "kind": "fidelity-trained",
        "command": ["python", "-m", "invsearch.bench.fidelity_trained", *arguments],
        "environment": describe(),
        "space": space.name,
        "epochs": space.accuracy.epochs,
        "seeds": options.seeds,
        "trials": options.trials,
        "strategy": space.search.strategy,
        "gate": GATE,
        "ways": [summary(way, found[way.name], found[FULL.name]) for way in WAYS],
    }
    write_atomic(output, dump_json(document, indent=1) + "\n")
    kept.done()
    print(os.fspath(output))
    return 0


def _search_all(space: SpaceFile, seeds: int, budget: int, workers: int, kept: Kept) -> None:
    """Search in every way and from every seed that is not kept yet."""
    done = {(one.way, one.seed) for one in kept.searches}
    pairs = [(way, seed) for seed in range(seeds) for way in WAYS if (way.name, seed) not in done]
    with ProcessPoolExecutor(workers, get_context("spawn"), initializer=_one_thread) as pool:
        running = [pool.submit(searched, space, way, seed, budget) for way, seed in pairs]
        for one in as_completed(running):
            search = one.result()
            kept.add(search)
            told = f"{search.way}, seed {search.seed}: {len(search.found)} trained in full"
            print(told, file=sys.stderr, flush=True)


def _one_thread() -> None:
    """Searches side by side do not share cores."""
    import torch

    torch.set_num_threads(1)


if __name__ == "__main__":
    sys.exit(main())
