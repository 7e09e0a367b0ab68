"""Benchmarks of the operators: cases, comparison with earlier runs, tables, figure data."""

from invsearch.bench.against import Change, compare_documents, load_document
from invsearch.bench.case import Candidate, Case, Cost, Result, Settings, measure_case
from invsearch.bench.session import COMPOSITES, Session, plan, run

__all__ = [
    "COMPOSITES",
    "Candidate",
    "Case",
    "Change",
    "Cost",
    "Result",
    "Session",
    "Settings",
    "compare_documents",
    "load_document",
    "measure_case",
    "plan",
    "run",
]
