"""What strategies still miss of the true hypervolume, trial by trial."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from invsearch.report.plot.figure import Figure, Trace, heading, run_colour
from invsearch.report.text import plot_text
from invsearch.value import rounded

__all__ = ["contest_figure"]

_FLOOR = 1e-4  # drawn here where less is missing: a log axis has no zero, tables four digits


def contest_figure(setting: str, standings: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw what each strategy of a setting still misses, against trials."""
    seeds = len(standings[0]["shares"])
    figure = Figure(title=f"Hypervolume still missing, {setting}", height=420)
    for place, standing in enumerate(standings):
        colour = run_colour(place)
        missing = [[max(1 - share, _FLOOR) for share in seed] for seed in standing["shares"]]
        figure.add(standing["strategy"], "line", colour, _mean(standing, missing, colour))
    figure.layout = {
        "xaxis": {"title": {"text": "trials"}, "automargin": True},
        "yaxis": {"type": "log", "automargin": True, "dtick": 1, "tickformat": "~%"},
        "annotations": [heading("hypervolume missing of the true one, \u2193 better", "y domain")],
    }
    figure.caption = (
        f"Mean over {seeds} seeds. The share is of the hypervolume of the whole space, with the"
        " worst value of each objective as the reference: it depends on the table alone, not on the"
        f" machine. Less than {_FLOOR:.2%} is drawn at {_FLOOR:.2%}."
    )
    return figure


def _mean(standing: Mapping[str, Any], missing: Sequence[Sequence[float]], colour: str) -> Trace:
    name, values = standing["strategy"], [fmean(each) for each in zip(*missing, strict=True)]
    trials = list(standing.get("after", range(1, len(values) + 1)))
    return {
        "mode": "lines",
        "x": trials,
        "y": [rounded(value, 4) for value in values],
        "line": {"color": f"@{colour}", "width": 2},
        "hoverinfo": "text",
        "hovertext": [
            f"{plot_text(name)}<br>{trial} trials: {value:.2%} missing"
            for trial, value in zip(trials, values, strict=True)
        ],
    }
