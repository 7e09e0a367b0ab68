"""Search strategies compared: the share of the true hypervolume found, against trials."""

from __future__ import annotations

import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from pathlib import Path

import yaml

from invsearch.bench.contests.contest import Contest
from invsearch.bench.contests.standing import Standing
from invsearch.bench.contests.truth import Truth, scored
from invsearch.bench.structures import get_structure
from invsearch.errors import TrialError
from invsearch.problem.kinds import problem_of
from invsearch.problem.problem import Problem
from invsearch.runs import RunFolder, Trial
from invsearch.search.executors.serial import run_serial
from invsearch.search.session import Session
from invsearch.space import load_space_file

__all__ = ["compare_strategies"]


def compare_strategies(
    contests: Sequence[Contest],
    strategies: Sequence[str],
    *,
    seeds: int = 10,
    workers: int = 1,
    known: Sequence[Standing] = (),
    on_standing: Callable[[Standing], None] = lambda standing: None,
) -> list[Standing]:
    """Run every strategy in every contest over seeds 0, 1, ..., through the product's own search.

    The share is the hypervolume of the evaluated architectures over that of the whole space, up to
    two references (see :class:`~invsearch.bench.contests.truth.Truth`). Where the evaluator gives a
    metric ``true_<objective>``, it is that which scores: a noisy search is judged by the truth.

    Args:
        contests: The settings.
        strategies: Names of strategies.
        seeds: How many seeds.
        workers: Processes that run searches at a time.
        known: What an earlier run of the same comparison found, which is not searched again.
        on_standing: Called with each result as it is there.

    Raises:
        InputError: If a space cannot be enumerated or its evaluator is missing.
        TrialError: If a search has nothing but failed trials, or its process is killed.
    """
    standings, before = [], {(one.contest, one.strategy): one for one in known}
    with tempfile.TemporaryDirectory() as folder, _processes(workers) as pool:
        for contest in contests:
            kept = [before.get((contest.name, strategy)) for strategy in strategies]
            if all(kept):
                standings += [one for one in kept if one is not None]
                continue
            truth = Truth.of(contest, _problem(contest, strategies[0], 0))
            for strategy, found_before in zip(strategies, kept, strict=True):
                if found_before is not None:
                    standings.append(found_before)
                    continue
                # not by map, which cancels on an interrupt what the ended processes leave broken
                jobs = [
                    pool.submit(_search, contest, strategy, seed, folder) for seed in range(seeds)
                ]
                found = [job.result() for job in jobs]
                both = [truth.shares(points) for points, _ in found]
                standing = Standing(
                    contest.name,
                    strategy,
                    tuple(worst for worst, _ in both),
                    tuple(milliseconds for _, milliseconds in found),
                    tuple(nadir for _, nadir in both),
                )
                on_standing(standing)
                standings.append(standing)
    return standings


@contextmanager
def _processes(count: int) -> Iterator[ProcessPoolExecutor]:
    """Processes that end with this one, and at once where it is interrupted."""
    pool = ProcessPoolExecutor(count, mp_context=get_context("spawn"), initializer=_end_with_parent)
    try:
        yield pool
    except BrokenProcessPool:
        pool.shutdown()
        raise TrialError(
            "a process that searched was killed: if it was for memory, take fewer --workers"
        ) from None
    except BaseException:
        for process in list((pool._processes or {}).values()):
            process.terminate()
        pool.shutdown()
        raise
    pool.shutdown()


def _end_with_parent() -> None:
    """Of a worker: an interrupt is its parent's to handle, whose end is its own, too."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _problem(contest: Contest, strategy: str, seed: int) -> Problem:
    overrides = [*contest.overrides, f"search.strategy={strategy}", f"search.seed={seed}"]
    if contest.structure is None:
        return problem_of(load_space_file(contest.space, overrides))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{contest.structure}.yaml"
        path.write_text(
            yaml.safe_dump(get_structure(contest.structure).declared(), sort_keys=False)
        )
        return problem_of(load_space_file(str(path), overrides))


def _search(
    contest: Contest, strategy: str, seed: int, folder: str
) -> tuple[list[list[float] | None], float]:
    """One search in a part of ``folder``: a point for each trial, and CPU ms a trial.

    A trial that failed or broke a bound has no point.
    """
    problem = _problem(contest, strategy, seed)
    with tempfile.TemporaryDirectory(dir=folder) as run:
        session = Session(
            problem,
            RunFolder(Path(run)),
            environment="",
            trials=contest.trials,
            capacity=contest.batch,
            deterministic=contest.batch > 1,
        )
        begun = time.process_time()
        run_serial(session)
        milliseconds = 1e3 * (time.process_time() - begun) / contest.trials
        session.close()
    trials = sorted(session.trials, key=lambda trial: trial.number)
    if all(trial.state == "failed" for trial in trials):
        raise TrialError(f"{contest.name}: every trial of {strategy} failed: {trials[-1].error}")
    points = [_point(problem, trial) for trial in trials if trial.counts][: contest.trials]
    # of a space that ends before the budget, nothing more
    return points + [None] * (contest.trials - len(points)), milliseconds


def _point(problem: Problem, trial: Trial) -> list[float] | None:
    return scored(problem, trial.metrics) if trial.state == "complete" else None
