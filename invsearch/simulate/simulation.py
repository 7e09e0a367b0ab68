"""Simulating a search with several numbers of workers, over seeds."""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from invsearch.errors import InputError
from invsearch.problem.kinds import problem_of
from invsearch.problem.problem import Problem
from invsearch.runs import RunFolder, Trial, load_run
from invsearch.runs.front import comparable, oriented
from invsearch.runs.load import find_run
from invsearch.search.session import Session
from invsearch.simulate.curve import Curve, Reached
from invsearch.simulate.durations import Durations
from invsearch.simulate.earlier import EarlierRun
from invsearch.simulate.events import Timeline, run_simulated
from invsearch.simulate.problem import SimulatedProblem, Table, TabularBenchmark
from invsearch.simulate.yardstick import Yardstick, yardstick
from invsearch.space import SpaceFile, load_space_file

__all__ = ["Plan", "Simulation", "simulate"]


@dataclass(frozen=True)
class Plan:
    """What is simulated.

    Attributes:
        workers: Numbers of trials that run at a time.
        durations: Seconds of a trial; None for those of the earlier run.
        trials: The budget; None for the space file's.
        seeds: How many searches of each number of workers: seeds ``search.seed`` and up.
        ask_s: Seconds of the driver for each proposal.
        start_s: Seconds until a worker that was not there before can begin.
        deterministic: Whether trials come in batches, as with ``run --deterministic``.
    """

    workers: tuple[int, ...]
    durations: Durations | None = None
    trials: int | None = None
    seeds: int = 3
    ask_s: float = 0.0
    start_s: float = 0.0
    deterministic: bool = False


@dataclass(frozen=True)
class Simulation:
    """How searches would go.

    Attributes:
        name: The space's name.
        strategy: How it is searched.
        trials: The budget of each search.
        durations: Seconds of a trial.
        table: Where the results of the trials came from, in words.
        yardstick: What the hypervolume is a share of.
        curves: One a number of workers and seed.
    """

    name: str
    strategy: str
    trials: int
    durations: Durations
    table: str
    yardstick: Yardstick
    curves: tuple[Curve, ...]


def simulate(
    space: str,
    plan: Plan,
    overrides: Sequence[str] = (),
    say: Callable[[str], None] = lambda text: None,
) -> Simulation:
    """Simulate searches of a space over its table, or over an earlier run.

    Args:
        space: A space file or the name of a shipped one, whose evaluator is called in this process;
            or the folder of an earlier run, whose trials are the table.
        plan: What is simulated.
        overrides: Changes of the space file, as for ``--set``.
        say: Tells the user what takes time.

    Raises:
        InputError: If the space trains or measures and there is no earlier run to go by, or if
            nothing says how long a trial takes.
    """
    folder = find_run(space) if Path(space).is_dir() else None
    source = load_space_file(RunFolder(folder).space_path if folder else space, overrides)
    stage = _Stage(source, folder, plan)
    searches = []
    for workers in plan.workers:
        for seed in range(source.search.seed, source.search.seed + plan.seeds):
            say(f"{workers} workers, seed {seed}")
            searches.append((workers, seed, *stage.search(workers, seed)))
    trials = [trial for _, _, found, _ in searches for trial in found]
    measure = yardstick(stage.problem, trials)
    return Simulation(
        name=source.name,
        strategy=source.search.strategy,
        trials=stage.trials,
        durations=stage.durations,
        table=f"the trials of {folder} and a model of them" if folder else "the space's evaluator",
        yardstick=measure,
        curves=tuple(
            Curve(workers, seed, _reached(stage.problem, found, timeline, measure))
            for workers, seed, found, timeline in searches
        ),
    )


class _Stage:
    """What all searches of a simulation share: the table, and how long a trial takes."""

    def __init__(self, source: SpaceFile, folder: Path | None, plan: Plan) -> None:
        self._source, self._folder, self._plan = source, folder, plan
        real = problem_of(source)
        real.check()
        with tempfile.TemporaryDirectory(prefix="invsearch-simulate-") as temporary:
            real.prepare(self._copied(Path(temporary)), lambda text: None)
        self._table = _table(real, folder)
        self.problem = SimulatedProblem(real, self._table)
        self.trials = plan.trials or source.search.trials
        self.durations = self._durations()

    def search(self, workers: int, seed: int) -> tuple[list[Trial], Timeline]:
        """One search in a folder that is thrown away."""
        settings = self._source.search.model_copy(update={"seed": seed})
        real = problem_of(dataclasses.replace(self._source, search=settings))
        problem = SimulatedProblem(real, self._table)
        with tempfile.TemporaryDirectory(prefix="invsearch-simulate-") as temporary:
            folder = self._copied(Path(temporary))
            problem.prepare(folder, lambda text: None)
            session = Session(
                problem,
                folder,
                environment="simulated",
                trials=self.trials,
                capacity=workers,
                deterministic=self._plan.deterministic or settings.deterministic,
            )
            timeline = run_simulated(
                session,
                problem,
                self.durations.of,
                ask_s=self._plan.ask_s,
                start_s=self._plan.start_s,
            )
            session.close()
            return list(session.trials), timeline

    def _copied(self, path: Path) -> RunFolder:
        """A folder with the earlier run's latency table, so that nothing is measured here."""
        folder = RunFolder(path)
        if self._folder is not None and RunFolder(self._folder).latency_table_path.is_file():
            shutil.copy(RunFolder(self._folder).latency_table_path, folder.latency_table_path)
        return folder

    def _durations(self) -> Durations:
        if self._plan.durations is not None:
            return self._plan.durations
        if isinstance(self._table, EarlierRun) and self._table.durations.seen:
            return self._table.durations
        raise InputError(
            "--seconds-per-trial is missing: say how long a trial takes on one worker (for example "
            "60, or 30..90)"
        )


def _table(problem: Problem, folder: Path | None) -> Table:
    return TabularBenchmark(problem) if folder is None else EarlierRun(problem, load_run(folder))


def _reached(
    problem: SimulatedProblem, trials: Sequence[Trial], timeline: Timeline, measure: Yardstick
) -> tuple[Reached, ...]:
    """The search's points on its curves: one each time that trials end."""
    ended = sorted(timeline.ended_s.items(), key=lambda item: (item[1], item[0]))
    by_number = {trial.number: trial for trial in trials}
    good = {trial.number for trial in comparable(trials, problem.objectives)}
    order = [by_number[number] for number, _ in ended if number in good]
    shares = iter(measure.shares(oriented(order, problem.objectives)))
    points, share, worked_s = [], 0.0, 0.0
    for count, (number, when_s) in enumerate(ended, start=1):
        share = next(shares) if number in good else share
        worked_s += timeline.worked_s[number]
        points.append(Reached(count, when_s, worked_s / 3600, share))
    return tuple(points)
