"""The report: one self-contained page that shows what a search found."""

from __future__ import annotations

from invsearch.report.page import write_report
from invsearch.report.paper import PaperPoint, paper_points
from invsearch.report.places import default_output, find_runs

__all__ = ["PaperPoint", "default_output", "find_runs", "paper_points", "write_report"]
