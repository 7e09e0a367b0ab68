"""The sections of the page: a file each, and the table in which they stand.

To add one, write a file with a function ``section`` and add a row. One that raises costs itself
alone: the page says so in its place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from invsearch.report.blocks import Section
from invsearch.report.sections import (
    compared,
    cost,
    curves,
    front,
    operators,
    reliability,
    repeat,
    reproduction,
    search,
    sources,
    strategies,
    summary,
    trials,
    versus,
)
from invsearch.report.shown import PageMaterial, ShownRun

__all__ = ["AFTER_RUNS", "BEFORE_RUNS", "SECTIONS", "PageSection", "RunSection"]


class RunSection(NamedTuple):
    """A section of every run.

    Attributes:
        name: The end of its element's id.
        make: Returns it; None where there is nothing to show.
    """

    name: str
    make: Callable[[ShownRun], Section | None]


class PageSection(NamedTuple):
    """A section of the page, about all of its runs or none; as :class:`RunSection`."""

    name: str
    make: Callable[[PageMaterial], Section | None]


SECTIONS: tuple[RunSection, ...] = (
    RunSection("summary", summary.section),
    RunSection("front", front.section),
    RunSection("reliability", reliability.section),
    RunSection("sources", sources.section),
    RunSection("versus", versus.section),
    RunSection("search", search.section),
    RunSection("curves", curves.section),
    RunSection("cost", cost.section),
    RunSection("trials", trials.section),
    RunSection("repeat", repeat.section),
)
"""Of each run, in the order in which they are shown."""

BEFORE_RUNS: tuple[PageSection, ...] = (PageSection("compared", compared.section),)
AFTER_RUNS: tuple[PageSection, ...] = (
    PageSection("paper", reproduction.section),
    PageSection("operators", operators.section),
    PageSection("strategies", strategies.section),
)
