"""Made search spaces whose truth is known, each with one structure that searches meet."""

from invsearch.bench.structures.structure import Objective, Parameter, Structure
from invsearch.bench.structures.table import STRUCTURES, get_structure

__all__ = ["STRUCTURES", "Objective", "Parameter", "Structure", "get_structure"]
