"""What sections are made from: a run at its place on the page, and what is beside the runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from invsearch.report.benchmarks import Benchmark
from invsearch.report.contests import ContestResult
from invsearch.report.paper import PaperPoint
from invsearch.report.picks import Recommendation, picks
from invsearch.runs import RunData

__all__ = ["PageMaterial", "ShownRun"]


@dataclass(frozen=True)
class ShownRun:
    """A run at its place on the page.

    Attributes:
        run: The run.
        index: Its place.
        paper: The paper's networks as counted; counted here when None.
    """

    run: RunData
    index: int
    paper: Sequence[PaperPoint] | None = None

    @property
    def id(self) -> str:
        """The id of its element."""
        return f"run{self.index}"

    @property
    def folder(self) -> str:
        """The name of the run's folder."""
        return self.run.path.resolve().name

    @cached_property
    def picks(self) -> list[Recommendation]:
        """The recommended members of the front."""
        return picks(self.run)


@dataclass(frozen=True)
class PageMaterial:
    """What a page is about.

    Attributes:
        runs: The runs.
        paper: The paper's networks as counted; counted here when None.
        reproduction: The paper's tables and figures as
            :func:`invsearch.paper.section.reproduction_section_data` gives them; when None they are
            counted where a run is one of networks. Empty leaves them out.
        benchmarks: Measurements of the operators; those under ``results/`` when None.
        contests: Comparisons of search strategies; those under ``results/`` when None.
    """

    runs: Sequence[RunData]
    paper: Sequence[PaperPoint] | None = None
    reproduction: Mapping[str, Any] | None = None
    benchmarks: Sequence[Benchmark] | None = None
    contests: Sequence[ContestResult] | None = None

    @property
    def of_networks(self) -> bool:
        """Whether a run is one of networks."""
        return any(run.outline.model for run in self.runs)
