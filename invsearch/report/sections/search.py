"""How the search went, which choices matter, and why trials failed."""

from __future__ import annotations

from collections.abc import Sequence

from invsearch.report.blocks import Cell, Figures, Grid, Heading, PageBlock, Prose, Section
from invsearch.report.failures import Failure, failures
from invsearch.report.importance import ENOUGH, importances
from invsearch.report.plot.figure import Figure
from invsearch.report.plot.hypervolume import hypervolume_figure
from invsearch.report.plot.importance import importance_figure, ranked_parameters
from invsearch.report.plot.parallel import parallel_figure
from invsearch.report.shown import ShownRun
from invsearch.runs import RunData
from invsearch.runs.calibration import calibrations
from invsearch.runs.columns import shown_names
from invsearch.runs.front import comparable

__all__ = ["section"]

_CALIBRATED = (
    "How far the search's model knew what it did not know. {}. Fewer than 50 and 95 % mean that it"
    " was too sure of itself."
)
_HEADS = (
    ("trials", "number"), ("share", "number"), ("state", "text"), ("reason", "reason"),
    ("which", "links"),
)  # fmt: skip


def section(shown: ShownRun) -> Section | None:
    """Show the search; None where nothing was found and nothing failed."""
    figures, failed = _figures(shown.run, shown.index), failures(shown.run.trials)
    if not figures and not failed:
        return None
    blocks: list[PageBlock] = [Figures.called(f"{shown.id}-search", figures)] if figures else []
    blocks += [Prose(remark, "hint") for remark in _remarks(shown.run)]
    told = calibrations(shown.run.trials, shown.run.objectives) if shown.run.objectives else []
    if told:
        blocks.append(Prose(_CALIBRATED.format("; ".join(map(str, told)))))
    if failed:
        blocks += [Heading("Failures and why"), _failures(shown.id, failed)]
    return Section("Search", blocks)


def _figures(run: RunData, index: int) -> list[Figure]:
    if not run.objectives:
        return []
    found = importances(run.trials, run.objectives)
    drawn = [
        hypervolume_figure(run, index),
        hypervolume_figure(run, index, "time"),
        importance_figure(found, known=run.outline.model, labels=shown_names(run.trials)),
        parallel_figure(run, index, ranked_parameters(found)),
    ]
    return [figure for figure in drawn if figure]


def _remarks(run: RunData) -> list[str]:
    """Say in words what there are too few trials for."""
    count = len(comparable(run.trials, run.objectives)) if run.objectives else 0
    if not 0 < count < ENOUGH:
        return []
    return [f"Which choices matter is shown from {ENOUGH} complete trials on; there are {count}."]


def _failures(place: str, found: Sequence[Failure]) -> Grid:
    return Grid("Failures", _HEADS, [_cells(place, one) for one in found])


def _cells(place: str, one: Failure) -> list[str | Cell]:
    links = tuple((f"#{place}-trial{number}", str(number)) for number in one.numbers)
    return [
        Cell(f"{one.count:,}", strong=True),
        f"{100 * one.part:.0f} %",
        one.state,
        one.reason,
        Cell(links=links, more=one.count > len(one.numbers)),
    ]
