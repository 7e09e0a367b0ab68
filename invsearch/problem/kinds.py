"""The kinds of problem, and which one a space file states."""

from __future__ import annotations

from invsearch.errors import InputError
from invsearch.problem.function import FunctionProblem
from invsearch.problem.problem import Problem
from invsearch.space import SpaceFile

__all__ = ["problem_of"]


def problem_of(space_file: SpaceFile) -> Problem:
    """The problem that a space file states."""
    if space_file.evaluator is not None:
        return FunctionProblem(space_file)
    if space_file.model is None:
        raise InputError(f"{space_file.path}: needs 'model' or 'evaluator'")
    from invsearch.problem.network import NetworkProblem  # brings torch

    return NetworkProblem(space_file)
