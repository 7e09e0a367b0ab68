"""What the trained figures can tell: noise between seeds, and what is known beyond the cost."""

from __future__ import annotations

from invsearch.report.blocks import Grid, PageBlock, Prose, Section
from invsearch.report.shown import ShownRun
from invsearch.report.text import display, short
from invsearch.runs import RunData
from invsearch.runs.reliability import seed_taus
from invsearch.runs.reliability_text import reliability_lines

__all__ = ["section"]

_COSTS = ("params", "macs")  # the first that is there is regressed out
_HEADS = (
    ("metric", "text"), ("between seeds (sd)", "number"), ("between architectures (sd)", "number"),
    ("reliability", "number"), ("95 % interval", "number"), ("two seeds agree (tau)", "number"),
    ("at equal cost (tau)", "number"), ("networks of two seeds", "number"),
)  # fmt: skip
_EXPLAINED = (
    "Reliability is the architectures' share of the variance of one training. Tau is Kendall's,"
    " between the rankings by the first and by the second seed; at equal cost, the logarithm of"
    " the {cost} is regressed out of both: what is known beyond “bigger is better”."
)


def section(shown: ShownRun) -> Section | None:
    """Say what differences mean; None where nothing was trained."""
    run = shown.run
    lines = reliability_lines(run)
    if not lines:
        return None
    blocks: list[PageBlock] = [Prose(f"{line[:1].upper()}{line[1:]}.") for line in lines]
    cost, values = _costs(run)
    rows = [_row(run, name, values) for name in run.reliabilities]
    if rows:
        blocks.append(Grid("Reliability", _HEADS, rows))
        blocks.append(Prose(_EXPLAINED.format(cost=short(cost, known=True)), "hint"))
    return Section("Reliability", blocks)


def _row(run: RunData, name: str, costs: dict[int, float]) -> list[str]:
    found, taus = run.reliabilities[name], seed_taus(run.seeds[name], costs)
    equal = taus.equal_cost if taus else None
    return [
        short(name, known=True),
        display(name, found.seed_sd, known=True),
        display(name, found.architecture_sd, known=True),
        f"{found.value:.2f}",
        f"{found.low:.2f} to {found.high:.2f}",
        "-" if taus is None else f"{taus.tau:.2f}",
        "-" if equal is None else f"{equal:.2f}",
        "-" if taus is None else str(taus.n),
    ]


def _costs(run: RunData) -> tuple[str, dict[int, float]]:
    """The cost that stands for a network's size, and each trial's."""
    for name in _COSTS:
        found = {t.number: t.metrics[name].value for t in run.trials if name in t.metrics}
        if found:
            return name, found
    return _COSTS[0], {}
