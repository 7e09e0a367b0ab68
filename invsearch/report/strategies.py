"""Search strategies compared, from what ``invsearch bench-search -o`` left in ``results/``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from invsearch.report.figure import Figure, Trace, heading
from invsearch.report.grid import Cell, Grid
from invsearch.report.text import plot_text
from invsearch.runs.load import RESULTS
from invsearch.value import rounded

__all__ = ["Contest", "find_contests"]

_COLOURS = ("run0", "run1", "run2", "run3", "run4", "run5")
_FLOOR = 1e-4  # what is missing below this share is drawn here: the axis is logarithmic


@dataclass(frozen=True)
class Contest:
    """A comparison of strategies in several settings.

    Attributes:
        name: The file's name.
        machine: Where it ran; the shares do not depend on it.
        figure: What the first setting with most trials still misses, against trials.
        rows: Per setting its name, and per strategy the mean and worst share.
        strategies: The strategies, in the order of the rows' cells.
    """

    name: str
    machine: str
    figure: Figure
    rows: list[tuple[str, list[str]]]
    strategies: list[str]

    @property
    def grid(self) -> Grid:
        """The rows as a table of the page, the best of each strong."""
        heads = [("setting", "name"), *((strategy, "number") for strategy in self.strategies)]
        return Grid("Strategies", heads, [_cells(name, cells) for name, cells in self.rows])


def _cells(name: str, shares: Sequence[str]) -> list[str | Cell]:
    return [name, *(Cell(share, strong=share == max(shares)) for share in shares)]


def find_contests(folder: Path = RESULTS) -> list[Contest]:
    """Return the comparisons among the JSON files of a folder; others are passed over."""
    found = [_read(path) for path in sorted(folder.glob("*.json"))]
    return [contest for contest in found if contest is not None]


def _read(path: Path) -> Contest | None:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(document, dict) or document.get("kind") != "strategies":
            return None
        return _contest(path.stem, document)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _contest(name: str, document: Mapping[str, Any]) -> Contest:
    standings: list[Mapping[str, Any]] = document["standings"]
    strategies = list(dict.fromkeys(s["strategy"] for s in standings))
    settings = list(dict.fromkeys(s["contest"] for s in standings))
    cells = {(s["contest"], s["strategy"]): f"{s['mean']:.4f} ({s['min']:.4f})" for s in standings}
    rows = [(each, [cells.get((each, s), "") for s in strategies]) for each in settings]
    longest = max(standings, key=lambda s: len(s["shares"][0]))["contest"]
    drawn = [s for s in standings if s["contest"] == longest]
    machine = str(document["environment"].get("cpu_model", ""))
    return Contest(name, machine, _figure(longest, drawn), rows, strategies)


def _figure(setting: str, standings: Sequence[Mapping[str, Any]]) -> Figure:
    seeds = len(standings[0]["shares"])
    figure = Figure(title=f"Hypervolume still missing, {setting}", height=420)
    for place, standing in enumerate(standings):
        colour = _COLOURS[place % len(_COLOURS)]
        missing = [[max(1 - share, _FLOOR) for share in seed] for seed in standing["shares"]]
        figure.add(
            standing["strategy"], "line", colour, _mean(standing["strategy"], missing, colour)
        )
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


def _mean(name: str, missing: Sequence[Sequence[float]], colour: str) -> Trace:
    values = [fmean(each) for each in zip(*missing, strict=True)]
    return {
        "mode": "lines",
        "x": list(range(1, len(values) + 1)),
        "y": [rounded(value, 4) for value in values],
        "line": {"color": f"@{colour}", "width": 2},
        "hoverinfo": "text",
        "hovertext": [
            f"{plot_text(name)}<br>{trial} trials: {value:.2%} missing"
            for trial, value in enumerate(values, start=1)
        ],
    }
