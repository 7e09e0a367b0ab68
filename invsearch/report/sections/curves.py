"""How the trials learned: small multiples of their curves."""

from __future__ import annotations

from invsearch.report.blocks import Figures, Section
from invsearch.report.plot.curves import curves_figure
from invsearch.report.shown import ShownRun

__all__ = ["section"]


def section(shown: ShownRun) -> Section | None:
    """Show the curves; None where the run has none."""
    figure = curves_figure(shown.run)
    if figure is None:
        return None
    return Section("Curves", [Figures.called(f"{shown.id}-curves", [figure], beside=False)])
