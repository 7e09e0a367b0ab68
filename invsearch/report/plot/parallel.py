"""Parallel coordinates: what the page's script needs to draw them from the trials."""

from __future__ import annotations

from collections.abc import Sequence

from invsearch.report.plot.figure import Figure, LegendEntry
from invsearch.runs import RunData
from invsearch.runs.front import comparable

__all__ = ["parallel_figure"]

_MOST = 10  # parameters drawn: with two objectives a figure of one screen, 12 rows of 54 px
_ROW = 54  # pixels: a label of 12 px above an axis with its values below
_MOST_LINES = 300  # trials off the front that are drawn: more is one grey area
_MOST_NODES = 12  # values drawn one by one: more leave a label less than 40 px at half a page


def parallel_figure(run: RunData, index: int, ranked: Sequence[str]) -> Figure | None:
    """Draw every comparable trial as a line through its parameters and objectives.

    Args:
        run: The run.
        index: Its place on the page.
        ranked: Parameters, that which matters most first; the others follow in their order.

    Returns:
        The figure; None where nothing varies.
    """
    trials = comparable(run.trials, run.objectives)
    names = dict.fromkeys([*ranked, *(name for trial in trials for name in trial.architecture)])
    varied = [name for name in names if len({trial.architecture.get(name) for trial in trials}) > 1]
    if not varied or not run.objectives:
        return None
    chosen = varied[:_MOST]
    left = len(varied) - len(chosen)
    order = "those that matter most" if ranked else "the first"
    more = f" Of {len(varied)} parameters that vary, {order} are drawn." if left else ""
    if len(trials) - len(run.members) > _MOST_LINES:
        more += f" Off the front no more than {_MOST_LINES} lines are drawn, evenly chosen."
    return Figure(
        title="Parallel coordinates",
        build="parallel",
        options={
            "run": index,
            "parameters": chosen,
            "objectives": list(run.objectives.items()),
            "trials": [trial.number for trial in trials],
            "nodes": _MOST_NODES,
            "most": _MOST_LINES,
        },
        height=44 + _ROW * (len(chosen) + len(run.objectives)),
        legend=[
            LegendEntry("off the front", "line", "other", traces=(1,)),
            LegendEntry("front", "line", "front", traces=(2,)),
            LegendEntry(
                "a value; larger where more trials have it", "circle", "muted", traces=(3,)
            ),
        ],
        selectable=True,
        caption=(
            "A line is a complete trial; it runs through its parameters' values and its"
            " objectives, the better end on the right. Choosing a value selects all trials that"
            f" have it; \u201cnone\u201d is that the architecture has no such parameter.{more}"
        ),
    )
