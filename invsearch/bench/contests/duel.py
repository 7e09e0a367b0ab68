"""Duel: two strategies in one contest, seed by seed, and whether the difference is luck."""

from __future__ import annotations

import itertools
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from rich.table import Table

from invsearch.bench.contests.standing import Standing

__all__ = ["Duel", "duels", "duels_table"]

Verdict = Literal["win", "tie", "loss"]

_LUCK = 0.05  # probability of so large a difference by luck below which it counts
_EXACT = 12  # seeds of which every assignment of signs is tried: 4,096
_DRAWN = 10_000  # assignments drawn of more


@dataclass(frozen=True)
class Duel:
    """One strategy against another after some trials of one contest.

    Attributes:
        contest: The contest's name.
        strategy: The one that is judged.
        rival: The other.
        trials: After how many trials.
        difference: Mean over seeds of the share found, ``strategy``'s less ``rival``'s.
        luck: Probability of a difference so far from 0 where both are equally good: a permutation
            test of the signs of the seeds' differences, both sides; exact up to 12 seeds. Of fewer
            than six seeds it is never below .05.
    """

    contest: str
    strategy: str
    rival: str
    trials: int
    difference: float
    luck: float

    @property
    def verdict(self) -> Verdict:
        """For ``strategy``; a tie where it may be luck."""
        if self.luck > _LUCK:
            return "tie"
        return "win" if self.difference > 0 else "loss"

    def to_json(self) -> dict[str, Any]:
        return {
            "contest": self.contest,
            "strategy": self.strategy,
            "rival": self.rival,
            "trials": self.trials,
            "difference": self.difference,
            "luck": self.luck,
            "verdict": self.verdict,
        }


def duels(standings: Sequence[Standing], strategy: str, trials: Sequence[int]) -> list[Duel]:
    """``strategy`` against every other by the shares up to the nadir, where both have seeds.

    Args:
        standings: Of any contests.
        strategy: The one that is judged.
        trials: After how many trials; contests with fewer are passed over.
    """
    found = []
    for ours, other in itertools.product(standings, standings):
        if ours.strategy != strategy or other.contest != ours.contest or other is ours:
            continue
        for count in trials:
            if count <= min(len(ours.nadir_shares[0]), len(other.nadir_shares[0])):
                pairs = zip(ours.nadir_shares, other.nadir_shares, strict=False)
                differences = [a[count - 1] - b[count - 1] for a, b in pairs]
                mean = statistics.fmean(differences)
                luck = _luck(np.array(differences))
                found.append(Duel(ours.contest, strategy, other.strategy, count, mean, luck))
    return found


def _luck(differences: np.ndarray) -> float:
    """Share of assignments of signs whose mean is at least as far from 0."""
    n = len(differences)
    if n <= _EXACT:
        signs = np.array(list(itertools.product((-1.0, 1.0), repeat=n)))
    else:
        signs = np.random.default_rng(0).choice((-1.0, 1.0), size=(_DRAWN, n))
        signs[0] = 1.0  # what was found is one of the assignments: luck is never 0
    means = np.abs(signs @ differences)
    return float((means >= abs(differences.sum()) * (1 - 1e-9)).mean())


def duels_table(found: Sequence[Duel], seeds: int) -> Table:
    """Wins, ties and losses, a row a rival and number of trials.

    Args:
        found: One at least.
        seeds: Of each search.
    """
    table = Table(title=f"{found[0].strategy} against", title_justify="left")
    if 2.0 ** (1 - seeds) > _LUCK:  # even where every seed is ahead
        table.caption = f"{seeds} seeds are too few to tell: all are ties"
    for column in ("rival", "after", "wins", "ties", "losses"):
        table.add_column(column, justify="left" if column == "rival" else "right")
    for rival, trials in dict.fromkeys((duel.rival, duel.trials) for duel in found):
        these = [d for d in found if (d.rival, d.trials) == (rival, trials)]
        count = Counter(duel.verdict for duel in these)
        table.add_row(rival, f"{trials} trials", *(str(count[v]) for v in ("win", "tie", "loss")))
    return table
