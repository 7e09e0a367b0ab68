"""What a search asks of an architecture: of a network by its providers, or of a user's function."""

from invsearch.problem.kinds import problem_of
from invsearch.problem.problem import Problem

__all__ = ["Problem", "problem_of"]
