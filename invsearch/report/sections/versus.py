"""Which of two networks, families or operators is better here, and how surely."""

from __future__ import annotations

from invsearch.report.blocks import PageBlock, Prose, Section
from invsearch.report.shown import ShownRun
from invsearch.runs.versus import paired_lines

__all__ = ["section"]

_EXPLAINED = (
    "Two networks are compared by the posterior of their difference, from all their seeds and what"
    " similar networks reached. At equal cost, over all networks that were trained to the end:"
    " regressed on the logarithm of the cost and on the share of the network that has each choice."
    " Between .1 and .9 the data cannot tell. Where more than two are ranked, the ends of what"
    " cannot be told apart link by link are judged by the range of so many (Tukey)."
)


def section(shown: ShownRun) -> Section | None:
    """State each comparison that the run allows; None where it allows none."""
    lines = paired_lines(shown.run)
    if not lines:
        return None
    blocks: list[PageBlock] = [Prose(f"{line[:1].upper()}{line[1:]}.") for line in lines]
    return Section("Versus", [*blocks, Prose(_EXPLAINED, "hint")], title="One against another")
