"""Search strategies compared, from what ``invsearch bench-search -o`` left in ``results/``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from invsearch.report.blocks import Cell, Grid
from invsearch.report.plot.contest import contest_figure
from invsearch.report.plot.figure import Figure
from invsearch.runs.load import RESULTS

__all__ = ["ContestResult", "find_contests"]


@dataclass(frozen=True)
class ContestResult:
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


def find_contests(folder: Path = RESULTS) -> list[ContestResult]:
    """Return the comparisons among the JSON files of a folder; others are passed over."""
    found = [_read(path) for path in sorted(folder.glob("*.json"))]
    return [contest for contest in found if contest is not None]


def _read(path: Path) -> ContestResult | None:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(document, dict) or document.get("kind") != "strategies":
            return None
        return _contest(path.stem, document)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _contest(name: str, document: Mapping[str, Any]) -> ContestResult:
    standings: list[Mapping[str, Any]] = document["standings"]
    strategies = list(dict.fromkeys(s["strategy"] for s in standings))
    settings = list(dict.fromkeys(s["contest"] for s in standings))
    cells = {(s["contest"], s["strategy"]): f"{s['mean']:.4f} ({s['min']:.4f})" for s in standings}
    rows = [(each, [cells.get((each, s), "") for s in strategies]) for each in settings]
    longest = max(standings, key=lambda s: len(s["shares"][0]))["contest"]
    drawn = [s for s in standings if s["contest"] == longest]
    machine = str(document["environment"].get("cpu_model", ""))
    return ContestResult(name, machine, contest_figure(longest, drawn), rows, strategies)
