"""Every trial as a row."""

from __future__ import annotations

from invsearch.report.blocks import Prose, Section, TrialTable
from invsearch.report.shown import ShownRun

__all__ = ["section"]

_EMPTY = (
    "None yet: every trial will be a row here, with its architecture, its numbers and where they"
    " come from."
)
_HINT = (
    "Under a column's name: part of the text, or for numbers such as < 2.5G, >= 70 or 1..3. The CSV"
    " holds the rows shown, in their order."
)


def section(shown: ShownRun) -> Section:
    """Show the table, or that there is nothing in it yet."""
    if not shown.run.trials:
        return Section("Trials", [Prose(_EMPTY)])
    states = sorted({trial.state for trial in shown.run.trials})
    return Section("Trials", [TrialTable(shown.index, states), Prose(_HINT, "hint")])
