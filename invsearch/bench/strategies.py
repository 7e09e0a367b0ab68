"""Search strategies compared: the share of the true hypervolume found, against trials."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from invsearch.errors import InputError, nearest
from invsearch.metrics import Metric
from invsearch.problem.kinds import problem_of
from invsearch.problem.problem import Problem
from invsearch.runs import RunFolder, describe, hypervolume
from invsearch.search.serial import run_serial
from invsearch.search.session import Session
from invsearch.space import load_space_file

__all__ = [
    "TABLE",
    "Contest",
    "Standing",
    "compare_strategies",
    "document",
    "known_strategies",
    "standings_table",
]

_COMPARABLE = ("cost_aware", "nsga2", "tpe", "evolution", "random")


@dataclass(frozen=True)
class Contest:
    """One setting in which strategies are compared.

    Attributes:
        name: What it is called in tables.
        space: A space with an evaluator that can be enumerated.
        trials: The budget.
        overrides: Changes of the space file, as for ``--set``.
        batch: How many trials are asked before any is told.
    """

    name: str
    space: str
    trials: int
    overrides: tuple[str, ...] = ()
    batch: int = 1


_MACRO = "nas-bench-macro"
_NOISY = "evaluator=invsearch.bench.nas_bench_macro:one_training"
_THREE = "objectives={error: minimize, flops: minimize, params: minimize}"

TABLE: tuple[Contest, ...] = (
    Contest("30 trials", _MACRO, 30),
    Contest("100 trials", _MACRO, 100),
    Contest("300 trials", _MACRO, 300),
    Contest("100 trials, batches of 8", _MACRO, 100, batch=8),
    Contest("100 trials, one noisy training each", _MACRO, 100, (_NOISY,)),
    Contest("100 trials, three objectives", _MACRO, 100, (_THREE,)),
    Contest("100 trials without costs", _MACRO, 100, ("costs=null",)),
)
"""The contests that ``invsearch bench-search`` runs when no space is named."""


@dataclass(frozen=True)
class Standing:
    """How a strategy did in a contest.

    Attributes:
        contest: The contest's name.
        strategy: The strategy.
        shares: By seed, the share of the true hypervolume after each trial.
        ask_ms: By seed, the mean CPU time of a proposal, telling and writing included.
    """

    contest: str
    strategy: str
    shares: tuple[tuple[float, ...], ...]
    ask_ms: tuple[float, ...]

    @property
    def finals(self) -> list[float]:
        """The share at the end, by seed."""
        return [seed[-1] for seed in self.shares]

    def __str__(self) -> str:
        finals = self.finals
        return (
            f"{self.contest}: {self.strategy} found {statistics.fmean(finals):.4f} of the "
            f"hypervolume (worst of {len(finals)} seeds {min(finals):.4f})"
        )

    def to_json(self) -> dict[str, Any]:
        finals = self.finals
        return {
            "contest": self.contest,
            "strategy": self.strategy,
            "seeds": len(finals),
            "mean": statistics.fmean(finals),
            "min": min(finals),
            "max": max(finals),
            "ask_ms": statistics.fmean(self.ask_ms),
            "shares": [[round(share, 6) for share in seed] for seed in self.shares],
        }


def compare_strategies(
    contests: Sequence[Contest],
    strategies: Sequence[str],
    *,
    seeds: int = 10,
    workers: int = 1,
    on_standing: Callable[[Standing], None] = lambda standing: None,
) -> list[Standing]:
    """Run every strategy in every contest over seeds 0, 1, ..., through the product's own search.

    The share is the hypervolume of the evaluated architectures over that of the whole space, with
    the worst value of each objective in the space as the reference. Where the evaluator gives a
    metric ``true_<objective>``, it is that which scores: a noisy search is judged by the truth.

    Args:
        contests: The settings.
        strategies: Names of strategies.
        seeds: How many seeds.
        workers: Processes that run searches at a time.
        on_standing: Called with each result as it is there.

    Raises:
        InputError: If a space cannot be enumerated or its evaluator is missing.
    """
    standings = []
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for contest in contests:
            truth = _Truth(_problem(contest, strategies[0], 0))
            for strategy in strategies:
                jobs = [(contest, strategy, seed) for seed in range(seeds)]
                found = list(pool.map(_search, jobs))
                standing = Standing(
                    contest.name,
                    strategy,
                    tuple(truth.shares(points) for points, _ in found),
                    tuple(milliseconds for _, milliseconds in found),
                )
                on_standing(standing)
                standings.append(standing)
    return standings


def known_strategies(names: str) -> list[str]:
    """Split a comma-separated list of strategies.

    Raises:
        InputError: If one is unknown.
    """
    chosen = [name.strip() for name in names.split(",") if name.strip()]
    for name in chosen or [""]:
        if name not in _COMPARABLE:
            raise InputError(
                f"strategy {name!r} is none of {', '.join(_COMPARABLE)}{nearest(name, _COMPARABLE)}"
            )
    return chosen


def document(standings: Sequence[Standing], command: Sequence[str]) -> dict[str, Any]:
    """The comparison as plain data, with where and how it was made."""
    return {
        "kind": "strategies",
        "command": ["invsearch", *command],
        "environment": describe(),
        "score": "hypervolume found / true, reference: worst value of each objective",
        "standings": [standing.to_json() for standing in standings],
    }


def standings_table(standings: Sequence[Standing]) -> Table:
    """The mean over seeds of the share found, a row a contest and a column a strategy."""
    strategies = list(dict.fromkeys(standing.strategy for standing in standings))
    table = Table(title="hypervolume found / true, mean (worst) over seeds", title_justify="left")
    table.add_column("contest")
    for strategy in strategies:
        table.add_column(strategy, justify="right")
    for contest in dict.fromkeys(standing.contest for standing in standings):
        cells = {s.strategy: s.finals for s in standings if s.contest == contest}
        table.add_row(
            contest,
            *(f"{statistics.fmean(cells[s]):.4f} ({min(cells[s]):.4f})" for s in strategies),
        )
    return table


class _Truth:
    """The whole space evaluated: its hypervolume and the reference."""

    def __init__(self, problem: Problem) -> None:
        if problem.file.evaluator is None or problem.space.size() > 100_000:
            raise InputError(
                f"{problem.file.path}: strategies are compared on a space with an evaluator and at "
                "most 100,000 architectures, all of which are evaluated for the true front"
            )
        points = []
        for architecture in problem.space.enumerate():
            metrics = problem.evaluation(architecture, 0).step().metrics
            points.append(_scored(problem, metrics))
        self._points = np.array(points)
        self._worst = self._points.max(axis=0)
        self._volume = hypervolume(self._points, self._worst)

    def shares(self, points: Sequence[Sequence[float]]) -> tuple[float, ...]:
        """The share of the true hypervolume after each trial."""
        array = np.array(points)
        return tuple(
            hypervolume(array[: count + 1], self._worst) / self._volume
            for count in range(len(array))
        )


def _scored(problem: Problem, metrics: Mapping[str, Metric]) -> list[float]:
    """An architecture's objectives, minimised, by their true values where there are any."""
    return [
        metrics[f"true_{name}" if f"true_{name}" in metrics else name].value
        * (1 if direction == "minimize" else -1)
        for name, direction in problem.objectives.items()
    ]


def _problem(contest: Contest, strategy: str, seed: int) -> Problem:
    overrides = [*contest.overrides, f"search.strategy={strategy}", f"search.seed={seed}"]
    return problem_of(load_space_file(contest.space, overrides))


def _search(job: tuple[Contest, str, int]) -> tuple[list[list[float]], float]:
    """One search in a folder that is thrown away: the points in order, and CPU ms a trial."""
    contest, strategy, seed = job
    problem = _problem(contest, strategy, seed)
    with tempfile.TemporaryDirectory() as folder:
        session = Session(
            problem,
            RunFolder(Path(folder)),
            environment="",
            trials=contest.trials,
            capacity=contest.batch,
            deterministic=contest.batch > 1,
        )
        begun = time.process_time()
        run_serial(session)
        milliseconds = 1e3 * (time.process_time() - begun) / contest.trials
        session.close()
    complete = [trial for trial in session.trials if trial.state == "complete"]
    return [_scored(problem, trial.metrics) for trial in _by_number(complete)], milliseconds


def _by_number(trials: Iterable[Any]) -> list[Any]:
    return sorted(trials, key=lambda trial: trial.number)
