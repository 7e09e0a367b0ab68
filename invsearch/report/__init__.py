"""The report: one self-contained page that shows what a search found, or its data."""

from __future__ import annotations

from invsearch.report.formats import FORMATS, write
from invsearch.report.page import write_report
from invsearch.report.paper import PaperPoint, paper_points
from invsearch.report.places import default_output, find_runs

__all__ = [
    "FORMATS",
    "PaperPoint",
    "default_output",
    "find_runs",
    "paper_points",
    "write",
    "write_report",
]
