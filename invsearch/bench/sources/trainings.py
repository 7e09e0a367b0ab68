"""The networks that are compared, and what training one alone gives."""

from __future__ import annotations

import random

from invsearch.errors import InputError, TrialError
from invsearch.problem.network import NetworkProblem
from invsearch.space.architecture import Architecture

__all__ = ["draw", "trained"]

_TRIES = 200  # draws for each network wanted: one in a hundred keeps tight constraints


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


def trained(problem: NetworkProblem, architecture: Architecture, seed: int) -> dict[str, float]:
    """The metrics of a network trained alone; none where that diverged."""
    evaluation = problem.evaluation(architecture, seed)
    try:
        while not (progress := evaluation.step()).done:
            pass
    except TrialError:  # no number is made up for it
        return {}
    return {name: metric.value for name, metric in progress.metrics.items()}
