"""The front for every pair of objectives."""

from __future__ import annotations

from invsearch.report.blocks import Figures, Prose, Section
from invsearch.report.paper import papers_for
from invsearch.report.plot.front import front_figures
from invsearch.report.shown import ShownRun

__all__ = ["section"]

_HINT = (
    "Drag over points, click one (with shift: several) or walk to it with the arrow keys and press"
    " Enter: every other figure and the table then show the selected trials alone."
)


def section(shown: ShownRun) -> Section | None:
    """Draw the front; None where no trial can be compared."""
    figures = front_figures(shown.run, shown.index, papers_for(shown.run, shown.paper))
    if not figures:
        return None
    return Section("Front", [Prose(_HINT, "hint"), Figures.called(f"{shown.id}-figure", figures)])
