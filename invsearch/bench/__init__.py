"""Benchmarks of the operators: cases, comparison with earlier runs, tables, figure data."""

from invsearch.bench.against import Change, compare_documents, load_document
from invsearch.bench.case import Candidate, Case, Cost, Result, Settings, measure_case
from invsearch.bench.session import COMPOSITES, BenchSession, plan, run

__all__ = [
    "COMPOSITES",
    "BenchSession",
    "Candidate",
    "Case",
    "Change",
    "Cost",
    "Result",
    "Settings",
    "compare_documents",
    "load_document",
    "measure_case",
    "plan",
    "run",
]
