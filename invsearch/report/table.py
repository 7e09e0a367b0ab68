"""The table of trials as data for the page's own script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from invsearch.metrics import Metric
from invsearch.report.text import (
    display,
    fidelity,
    interval,
    parameter_groups,
    short,
    trial_seconds,
)
from invsearch.runs import RunData, Trial
from invsearch.runs.columns import metric_names

__all__ = ["trial_table"]


def trial_table(run: RunData) -> dict[str, Any]:
    """Return columns and rows.

    Returns:
        ``columns``: ``{"key", "label", "kind"}``; ``rows``: ``{"n", "state", "p", "cells"}`` where
        a cell is ``[sort value, line, further line, ...]`` or None.
    """
    objectives = tuple(run.objectives)
    others = metric_names(run.trials, objectives)[len(objectives) :]
    known = run.outline.model
    chance = {member.trial.number: member.p_front for member in run.members}
    columns = [
        _column("number", "trial"),
        _column("state", "state", "text"),
        _column("p_front", "P(front)"),
        *(_column("metric", short(name, known=known)) for name in objectives),
        _column("architecture", "architecture", "wide"),
        *(_column("metric", short(name, known=known)) for name in others),
        _column("origin", "origin", "text"),
        _column("seed", "seed"),
        _column("seconds", "seconds"),
        _column("reason", "reason", "wide"),
    ]
    rows = [_row(trial, objectives, others, chance, known=known) for trial in run.trials]
    return {"columns": columns, "rows": rows}


def _column(key: str, label: str, kind: str = "number") -> dict[str, str]:
    return {"key": key, "label": label, "kind": kind}


def _row(
    trial: Trial,
    objectives: Sequence[str],
    others: Sequence[str],
    chance: Mapping[int, float],
    *,
    known: bool,
) -> dict[str, Any]:
    p_front = chance.get(trial.number)
    seconds = trial_seconds(trial)
    cells: list[list[Any] | None] = [
        [trial.number, str(trial.number)],
        [trial.state, trial.state],
        None if p_front is None else [p_front, f"{p_front:.2f}"],
        *(_metric_cell(trial.metrics.get(name), known=known) for name in objectives),
        _architecture_cell(trial),
        *(_metric_cell(trial.metrics.get(name), known=known) for name in others),
        [trial.origin, trial.origin],
        [trial.seed, str(trial.seed)],
        None if seconds is None else [seconds, f"{seconds:.1f}"],
        [trial.error, trial.error] if trial.error else None,
    ]
    return {"n": trial.number, "state": trial.state, "p": p_front, "cells": cells}


def _architecture_cell(trial: Trial) -> list[Any]:
    """Return the parameters under their full names, to filter and sort by, and as shown."""
    full = " ".join(f"{name}={value}" for name, value in trial.architecture.items())
    return [full, *parameter_groups(trial)]


def _metric_cell(metric: Metric | None, *, known: bool) -> list[Any] | None:
    if metric is None:
        return None
    ends = interval(metric, known=known)
    convention = metric.detail.get("convention")
    origin = f"{metric.source}, {convention}" if convention else str(metric.source)
    seeds = f"mean of {metric.n} seeds" if metric.n > 1 else ""
    lines = [ends, origin, fidelity(metric.fidelity), seeds]
    return [
        metric.value,
        display(metric.name, metric.value, known=known),
        *(line for line in lines if line),
    ]
