"""Networks trained alone from several seeds, a line each: who is killed goes on where it was."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from invsearch.errors import InputError, TrialError
from invsearch.problem.network import NetworkProblem
from invsearch.runs.files import append_lines, dump_json
from invsearch.runs.lines import read_lines
from invsearch.space.architecture import Architecture

__all__ = ["Line", "Lines", "draw", "train"]

_TRIES = 200  # draws for each network wanted: one in a hundred keeps tight constraints


@dataclass(frozen=True)
class Line:
    """One number of one network.

    Attributes:
        architecture: The network, as :attr:`Architecture.key`.
        source: What gave it: ``trained``, ``supernet`` or a proxy.
        seed: Of it.
        values: By metric or proxy; empty where the source could not tell.
        cpu_seconds: Of the process.
    """

    architecture: str
    source: str
    seed: int
    values: Mapping[str, float]
    cpu_seconds: float

    @property
    def key(self) -> tuple[str, str, int]:
        return self.architecture, self.source, self.seed


@dataclass
class Lines:
    """What is known so far, in a file.

    Args:
        path: The file; its first line says of which space.
        space: The space file's text, overrides applied.

    Raises:
        InputError: If the file holds lines of another space.
    """

    path: Path
    space: str
    known: dict[tuple[str, str, int], Line] = field(default_factory=dict)

    def __post_init__(self) -> None:
        found = read_lines(self.path, dict)
        if not found.records:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.write_text("")
            append_lines(self.path, dump_json({"space": self.space}))
            return
        if found.records[0].get("space") != self.space:
            raise InputError(
                f"{self.path} holds trainings of another space: name another folder with --out"
            )
        with self.path.open("r+b") as file:
            file.truncate(found.sound_bytes)
        for record in found.records[1:]:
            self._keep(Line(**record))

    def add(self, line: Line) -> Line:
        """Write a line."""
        append_lines(self.path, dump_json(vars(line)))
        return self._keep(line)

    def _keep(self, line: Line) -> Line:
        self.known[line.key] = line
        return line


def draw(problem: NetworkProblem, networks: int, seed: int = 0) -> list[Architecture]:
    """Different architectures of the space, uniformly drawn, that keep its constraints.

    Raises:
        InputError: If it has not so many.
    """
    rng, found = random.Random(seed), dict[str, Architecture]()
    for _ in range(_TRIES * networks):
        one = problem.space.sample(rng)
        if one.key not in found and problem.admits(one):
            found[one.key] = one
        if len(found) == networks:
            return list(found.values())
    raise InputError(
        f"{problem.file.path}: {len(found)} feasible networks were found, and --networks asks for "
        f"{networks}"
    )


def train(problem: NetworkProblem, architecture: Architecture, seed: int, lines: Lines) -> Line:
    """Train a network alone, if it is not known what that gives."""
    known = lines.known.get((architecture.key, "trained", seed))
    if known is not None:
        return known
    values, seconds = timed(lambda: _trained(problem, architecture, seed))
    return lines.add(Line(architecture.key, "trained", seed, values, seconds))


def _trained(problem: NetworkProblem, architecture: Architecture, seed: int) -> dict[str, float]:
    evaluation = problem.evaluation(architecture, seed)
    try:
        while not (progress := evaluation.step()).done:
            pass
    except TrialError:  # diverged: it has no figure, and no number is made up for it
        return {}
    return {name: metric.value for name, metric in progress.metrics.items()}


def timed(work: Callable[[], dict[str, float]]) -> tuple[dict[str, Any], float]:
    """What the work returns, and the CPU seconds it took."""
    begun = time.process_time()
    found = work()
    return found, time.process_time() - begun
