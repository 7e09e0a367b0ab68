"""Standing: how a strategy did in a contest; as JSON and as a table."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table

from invsearch.runs import describe

__all__ = ["Standing", "document", "standings_table"]

_DRAWN = 100  # points of a curve that a file keeps: more are not seen, and made 4 MB of it


@dataclass(frozen=True)
class Standing:
    """How a strategy did in a contest.

    Attributes:
        contest: The contest's name.
        strategy: The strategy.
        shares: By seed, the share of the true hypervolume after each trial.
        ask_ms: By seed, the mean CPU time of a proposal, telling and writing included.
        nadir_shares: As ``shares``, up to the front's nadir and a tenth of its extent.
    """

    contest: str
    strategy: str
    shares: tuple[tuple[float, ...], ...]
    ask_ms: tuple[float, ...]
    nadir_shares: tuple[tuple[float, ...], ...]

    @property
    def finals(self) -> list[float]:
        """The share at the end, by seed."""
        return [seed[-1] for seed in self.shares]

    def __str__(self) -> str:
        finals = self.finals
        return (
            f"{self.contest}: {self.strategy} found {statistics.fmean(finals):.4f} of the "
            f"hypervolume (worst of {len(finals)} seeds {min(finals):.4f})"
        )

    def to_json(self) -> dict[str, Any]:
        """As plain data, the curves at :data:`_DRAWN` numbers of trials at most."""
        finals, nadir = self.finals, [seed[-1] for seed in self.nadir_shares]
        trials = len(self.shares[0])
        every = -(-trials // _DRAWN)
        after = [count for count in range(1, trials + 1) if (trials - count) % every == 0]
        return {
            "contest": self.contest,
            "strategy": self.strategy,
            "seeds": len(finals),
            "mean": statistics.fmean(finals),
            "min": min(finals),
            "max": max(finals),
            "ask_ms": statistics.fmean(self.ask_ms),
            "mean_nadir": statistics.fmean(nadir),
            "min_nadir": min(nadir),
            "after": after,
            "shares": _thinned(self.shares, after),
            "nadir_shares": _thinned(self.nadir_shares, after),
        }


def _thinned(shares: Sequence[Sequence[float]], after: Sequence[int]) -> list[list[float]]:
    return [[round(seed[count - 1], 5) for count in after] for seed in shares]


def document(standings: Sequence[Standing], command: Sequence[str]) -> dict[str, Any]:
    """The comparison as plain data, with where and how it was made."""
    return {
        "kind": "strategies",
        "command": ["invsearch", *command],
        "environment": describe(),
        "score": "hypervolume found / true, reference: worst value of each objective; nadir: the "
        "front's worst values and a tenth of its extent",
        "standings": [standing.to_json() for standing in standings],
    }


def standings_table(standings: Sequence[Standing], *, nadir: bool = False) -> Table:
    """The mean over seeds of the share found, a row a contest and a column a strategy.

    Args:
        standings: What the table says.
        nadir: Whether the share is that up to the front's nadir.
    """
    strategies = list(dict.fromkeys(standing.strategy for standing in standings))
    title = "hypervolume found / true, mean (worst) over seeds" + ", to the nadir" * nadir
    table = Table(title=title, title_justify="left")
    table.add_column("contest")
    for strategy in strategies:
        table.add_column(strategy, justify="right")
    for contest in dict.fromkeys(standing.contest for standing in standings):
        cells = {
            s.strategy: [seed[-1] for seed in s.nadir_shares] if nadir else s.finals
            for s in standings
            if s.contest == contest
        }
        table.add_row(
            contest,
            *(_cell(cells.get(s)) for s in strategies),
        )
    return table


def _cell(finals: Sequence[float] | None) -> str:
    return "" if not finals else f"{statistics.fmean(finals):.4f} ({min(finals):.4f})"
