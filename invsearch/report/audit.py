"""The audit's table: what the front's networks took, side by side, as they took turns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from invsearch.metrics import Metric
from invsearch.report.blocks import Grid, PageBlock, Prose
from invsearch.report.text import display, interval, joined, short
from invsearch.runs import RunData, Trial

__all__ = ["audit_blocks"]

_HEADS = (
    ("trial", "number"), ("predicted", "number"), ("in the search", "number"),
    ("in turns", "number"), ("95 % interval", "number"), ("off by", "number"),
    ("cannot be told from", "text"),
)  # fmt: skip
_EXPLAINED = (
    "Measured whole when the search was over, a sample of each in turns, so that what drifts drifts"
    " for all alike; the front is of these figures. Off by: the prediction, or else the search's"
    " figure, from the one in turns. Two cannot be told apart where the 95 % interval of the"
    " rounds' ratios holds 1."
)


def audit_blocks(run: RunData, name: str) -> list[PageBlock]:
    """Return the table of a latency, and what it is; nothing where nothing was audited."""
    members = [member.trial for member in run.members]
    audited = [t for t in members if name in t.metrics and "before" in t.metrics[name].detail]
    if not audited:
        return []
    rows = [_row(trial, trial.metrics[name]) for trial in audited]
    title = f"{short(name, known=True)}: the front, measured in turns"
    return [Grid(f"{title[0].upper()}{title[1:]}", _HEADS, rows), Prose(_EXPLAINED, "hint")]


def _row(trial: Trial, metric: Metric) -> list[str]:
    before, predicted = metric.detail["before"], metric.detail.get("predicted")
    measured = before if before["source"] == "measured" else None
    told, ties = predicted or measured, [str(one) for one in metric.detail.get("ties", ())]
    return [
        str(trial.number),
        _shown(metric.name, predicted),
        _shown(metric.name, measured),
        display(metric.name, metric.value, known=True),
        interval(metric, known=True),
        f"{told['value'] / metric.value - 1:+.1%}" if told else "-",
        joined(ties) if ties else "-",
    ]


def _shown(name: str, kept: Mapping[str, Any] | None) -> str:
    return display(name, kept["value"], known=True) if kept else "-"
