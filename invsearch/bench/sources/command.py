"""The measurement of every source on a space, resumable, and its document."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from invsearch._version import __version__
from invsearch.accuracy.proxies import proxy_values
from invsearch.accuracy.supernet import Supernet
from invsearch.accuracy.told import ONCE, SUPERNET, TRAINED, Line, Lines
from invsearch.accuracy.worth import Row, rows_of, useless
from invsearch.bench.sources.trainings import draw, trained
from invsearch.errors import InputError
from invsearch.metrics import Direction, metric_info
from invsearch.plugins import PROXIES
from invsearch.problem.kinds import problem_of
from invsearch.problem.network import NetworkProblem
from invsearch.runs import describe
from invsearch.space import SpaceFile
from invsearch.space.architecture import Architecture

__all__ = ["Measured", "Settings", "measure_sources"]

LINES = "sources.jsonl"


@dataclass(frozen=True)
class Settings:
    """How much is measured.

    Attributes:
        networks: Drawn from the space.
        seeds: Trainings of each.
        out: The folder in which they are kept: the same command goes on there.
        supernet: Whether a supernet is trained and judged too.
    """

    networks: int
    seeds: int
    out: Path
    supernet: bool = False


@dataclass(frozen=True)
class Measured:
    """What was found.

    Attributes:
        space: The space file.
        settings: What was asked for.
        metric: By which networks are ranked.
        rows: The sources.
        cpu_seconds: Of all lines together.
    """

    space: SpaceFile
    settings: Settings
    metric: str
    rows: tuple[Row, ...]
    cpu_seconds: float

    def as_dict(self, command: list[str]) -> dict[str, Any]:
        """The document that ``--json`` prints."""
        return {
            "kind": "sources",
            "version": __version__,
            "command": ["invsearch", *command],
            "environment": describe(),
            "space": self.space.name,
            "metric": self.metric,
            "networks": self.settings.networks,
            "seeds": self.settings.seeds,
            "cpu_seconds": self.cpu_seconds,
            "rows": [
                {**row.as_dict(), "useless": useless(row, self.rows)} for row in self.rows
            ],
        }  # fmt: skip


def measure_sources(
    space: SpaceFile, settings: Settings, say: Callable[[str], None] = lambda line: None
) -> Measured:
    """Train networks of a space alone and compare every source with what that gives.

    Raises:
        InputError: If nothing is trained there, the data are missing, or the folder is of another
            space.
    """
    problem = problem_of(space)
    metric, direction = _ranked_by(problem)
    assert isinstance(problem, NetworkProblem)
    problem.check()
    lines = Lines(settings.out / LINES, space.text)
    networks = draw(problem, settings.networks)
    for number, one in enumerate(networks, start=1):
        _proxies(problem, one, lines)
        say(f"proxies of {number}/{len(networks)} networks")
    if settings.supernet:
        _supernet(problem, networks, settings, lines, say)
    for seed in range(settings.seeds):
        for number, one in enumerate(networks, start=1):
            lines.ask(one.key, TRAINED, seed, partial(trained, problem, one, seed))
            say(f"seed {seed}: {number}/{len(networks)} networks trained")
    return _measured(problem, settings, metric, direction, networks, lines)


def _measured(
    problem: NetworkProblem,
    settings: Settings,
    metric: str,
    direction: Direction,
    networks: list[Architecture],
    lines: Lines,
) -> Measured:
    """Of these networks and seeds alone: the folder may hold more."""
    keys = {ONCE, *(one.key for one in networks)}
    known = [
        line
        for line in lines.known.values()
        if line.architecture in keys
        and line.seed < settings.seeds
        and (settings.supernet or line.source != SUPERNET)
    ]
    params = {one.key: problem.explained(one)["params"].value for one in networks}
    rows = rows_of(known, metric, direction, params)
    rows.sort(key=lambda row: -(row.found.tau if row.found.tau is not None else -2))
    spent = sum(line.cpu_seconds for line in known)
    return Measured(problem.file, settings, metric, tuple(rows), spent)


def _ranked_by(problem: Any) -> tuple[str, Direction]:
    """The first objective that is trained.

    Raises:
        InputError: If there is none.
    """
    for name, direction in problem.objectives.items():
        info = metric_info(name)
        trained = problem.sources().get(name) == "trained"
        if info is not None and info.kind == "accuracy" and trained:
            return name, direction
    raise InputError(
        f"{problem.file.path}: no objective is trained: sources are compared with trainings, of a "
        "space of networks with an objective such as val_loss"
    )


def _proxies(problem: NetworkProblem, architecture: Architecture, lines: Lines) -> None:
    subject = problem.subject(architecture)
    for name in PROXIES:
        lines.ask(architecture.key, name, 0, partial(proxy_values, name, subject))


def _supernet(
    problem: NetworkProblem,
    networks: Sequence[Architecture],
    settings: Settings,
    lines: Lines,
    say: Callable[[str], None],
) -> None:
    supernet = problem.trained.supernet(settings.out / SUPERNET)
    if not supernet.trained:
        say(f"supernet: {supernet.recipe.epochs} epochs")
        supernet.train()
    if (ONCE, SUPERNET, 0) not in lines.known:
        lines.add(Line(ONCE, SUPERNET, 0, {}, supernet.cpu_seconds))
    for number, one in enumerate(networks, start=1):
        lines.ask(one.key, SUPERNET, 0, partial(_supernet_values, supernet, one))
        say(f"supernet: {number}/{len(networks)} networks judged")


def _supernet_values(supernet: Supernet, architecture: Architecture) -> dict[str, float]:
    return {name: metric.value for name, metric in supernet.metrics(architecture).items()}
