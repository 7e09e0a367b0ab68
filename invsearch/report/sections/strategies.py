"""Search strategies compared."""

from __future__ import annotations

from invsearch.report.blocks import Figures, Heading, PageBlock, Prose, Section
from invsearch.report.contests import find_contests
from invsearch.report.shown import PageMaterial

__all__ = ["section"]


def section(material: PageMaterial) -> Section | None:
    """Show every comparison; None where there is none."""
    contests = find_contests() if material.contests is None else material.contests
    blocks: list[PageBlock] = []
    for place, contest in enumerate(contests):
        blocks += [
            Figures([(f"contest-figure{place}", contest.figure)], beside=False),
            Prose(contest.source, "below"),
            Heading("Share of the true hypervolume that was found"),
            contest.grid(contest.rows),
            Prose("Mean over seeds (worst seed); the best of each row is bold.", "below"),
        ]
        if contest.nadir:
            blocks += [
                Heading("The same up to the front's own worst values and a tenth of its extent"),
                contest.grid(contest.nadir),
            ]
        blocks += [Prose(line) for line in contest.duels]
    return Section("Strategies", blocks, title="Search strategies compared") if blocks else None
