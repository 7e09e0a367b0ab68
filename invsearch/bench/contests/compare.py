"""Search strategies compared: the share of the true hypervolume found, against trials."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from invsearch.bench.contests.contest import Contest
from invsearch.bench.contests.standing import Standing
from invsearch.errors import InputError
from invsearch.metrics import Metric
from invsearch.problem.kinds import problem_of
from invsearch.problem.problem import Problem
from invsearch.runs import RunFolder, hypervolume
from invsearch.search.executors.serial import run_serial
from invsearch.search.session import Session
from invsearch.space import load_space_file

__all__ = ["compare_strategies"]

_MOST = 100_000  # architectures: every one is evaluated for the true front


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


class _Truth:
    """The whole space evaluated: its hypervolume and the reference."""

    def __init__(self, problem: Problem) -> None:
        if problem.file.evaluator is None or problem.space.size() > _MOST:
            raise InputError(
                f"{problem.file.path}: strategies are compared on a space with an evaluator and at "
                f"most {_MOST:,} architectures, all of which are evaluated for the true front"
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
