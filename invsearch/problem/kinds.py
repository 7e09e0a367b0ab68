"""The kinds of problem, and which one a space file states."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invsearch.errors import InputError
from invsearch.problem.function import FunctionProblem
from invsearch.problem.problem import Problem
from invsearch.space import SpaceFile

if TYPE_CHECKING:
    from invsearch.problem.network import NetworkProblem

__all__ = ["network_problem_of", "problem_of"]


def problem_of(space_file: SpaceFile) -> Problem:
    """The problem that a space file states."""
    if space_file.evaluator is not None:
        return FunctionProblem(space_file)
    if space_file.model is None:
        raise InputError(f"{space_file.path}: needs 'model' or 'evaluator'")
    return network_problem_of(space_file)


def network_problem_of(space_file: SpaceFile) -> NetworkProblem:
    """The problem of a space file that states a space of networks."""
    from invsearch.problem.module import ModuleProblem  # brings torch
    from invsearch.problem.network import NetworkProblem

    own = space_file.model is not None and space_file.model.own
    return ModuleProblem(space_file) if own else NetworkProblem(space_file)
