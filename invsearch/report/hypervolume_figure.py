"""The hypervolume against trials, of one run or several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from invsearch.report.figure import Figure, Trace, heading
from invsearch.runs import RunData
from invsearch.runs.front import hypervolume_trace

__all__ = ["hypervolume_figure"]

_COLOURS = 6
_MARKED = 60  # the most trials of which each is marked


def hypervolume_figure(runs: Mapping[str, RunData]) -> Figure | None:
    """Draw the dominated share of the objectives' box against trials.

    Args:
        runs: By the name to show, runs of the same objectives; all are measured in one box.

    Returns:
        The figure, None where no trial can be compared.
    """
    figure = Figure(title="Hypervolume against trials")
    everything = [trial for run in runs.values() for trial in run.trials]
    for place, (name, run) in enumerate(runs.items()):
        colour = f"run{place % _COLOURS}"
        trace = hypervolume_trace(run.trials, run.objectives, among=everything)
        if trace:
            figure.add(name, "line", colour, _steps(trace, f"@{colour}"))
    if not figure.data:
        return None
    figure.layout = {
        "xaxis": {"title": {"text": "trial"}, "automargin": True, "rangemode": "tozero"},
        "yaxis": {"automargin": True, "rangemode": "tozero", "tickformat": ".0%"},
        "annotations": [heading("hypervolume (share of the box), \u2191 better", "y domain")],
    }
    figure.caption = (
        "The share that is dominated so far of the box between the best value seen of each"
        " objective and a tenth of the range beyond the worst. Only complete trials add to it."
    )
    return figure


def _steps(trace: Sequence[tuple[int, float]], colour: str) -> Trace:
    return {
        "mode": "lines+markers" if len(trace) <= _MARKED else "lines",
        "x": [number for number, _ in trace], "y": [share for _, share in trace],
        "line": {"shape": "hv", "color": colour, "width": 2},
        "marker": {"size": 5, "color": colour},
        "hovertemplate": "trial %{x}: %{y:.1%}<extra></extra>",
    }  # fmt: skip
