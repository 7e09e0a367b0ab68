"""Search strategies compared, from what ``invsearch bench-search -o`` left in ``results/``."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from invsearch.report.blocks import Cell, Grid
from invsearch.report.plot.contest import contest_figure
from invsearch.report.plot.figure import Figure
from invsearch.runs.load import RESULTS

__all__ = ["ContestResult", "find_contests"]


_UNREADABLE = (
    OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError
)  # fmt: skip
"""What reading raises of a file that is damaged, or of something else: the others are shown. Tried
with files cut off, of wrong types and of deep nesting; what the machine lacks is none of these."""


@dataclass(frozen=True)
class ContestResult:
    """A comparison of strategies in several settings.

    Attributes:
        name: The file's name.
        source: Where it ran, and what else the file says of that; the shares do not depend on it.
        figure: What the first setting with most trials still misses, against trials.
        rows: Per setting its name, and per strategy the mean and worst share.
        strategies: The strategies, in the order of the rows' cells.
        nadir: As ``rows``, up to the front's nadir; empty in files that do not say.
        duels: Wins, ties and losses in words, a line a number of trials.
    """

    name: str
    source: str
    figure: Figure
    rows: list[tuple[str, list[str]]]
    strategies: list[str]
    nadir: list[tuple[str, list[str]]]
    duels: list[str]

    def grid(self, rows: Sequence[tuple[str, list[str]]]) -> Grid:
        """``rows`` or ``nadir`` as a table of the page, the best of each strong."""
        heads = [("setting", "name"), *((strategy, "number") for strategy in self.strategies)]
        return Grid("Strategies", heads, [_cells(name, cells) for name, cells in rows])


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
    except _UNREADABLE:
        return None


def _contest(name: str, document: Mapping[str, Any]) -> ContestResult:
    standings: list[Mapping[str, Any]] = document["standings"]
    strategies = list(dict.fromkeys(s["strategy"] for s in standings))
    settings = list(dict.fromkeys(s["contest"] for s in standings))
    rows = _rows(standings, settings, strategies, "mean", "min")
    nadir = []
    if all("mean_nadir" in standing for standing in standings):
        nadir = _rows(standings, settings, strategies, "mean_nadir", "min_nadir")
    longest = max(standings, key=_trials)["contest"]
    drawn = [s for s in standings if s["contest"] == longest]
    machine = document["environment"].get("machine", {}).get("cpu_model", "an unnamed machine")
    source = ": ".join([f"Searched on {machine}", *filter(None, [document.get("notice")])])
    figure, told = contest_figure(longest, drawn), _duels(document.get("duels", []))
    return ContestResult(name, source, figure, rows, strategies, nadir, told)


def _trials(standing: Mapping[str, Any]) -> int:
    return int(standing["after"][-1] if "after" in standing else len(standing["shares"][0]))


def _rows(
    standings: Sequence[Mapping[str, Any]],
    settings: Sequence[str],
    strategies: Sequence[str],
    mean: str,
    least: str,
) -> list[tuple[str, list[str]]]:
    cells = {(s["contest"], s["strategy"]): f"{s[mean]:.4f} ({s[least]:.4f})" for s in standings}
    return [(each, [cells.get((each, s), "") for s in strategies]) for each in settings]


def _duels(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """Wins, ties and losses of the strategy that is judged."""
    lines = []
    for trials in sorted({duel["trials"] for duel in found}):
        counts: dict[str, Counter[str]] = {}
        for duel in found:
            if duel["trials"] == trials:
                counts.setdefault(duel["rival"], Counter())[duel["verdict"]] += 1
        told = "; ".join(
            f"against {rival} {one['win']}, {one['tie']} and {one['loss']}"
            for rival, one in counts.items()
        )
        judged = found[0]["strategy"]
        lines.append(f"Wins, ties and losses of {judged} after {trials} trials: {told}.")
    return lines
