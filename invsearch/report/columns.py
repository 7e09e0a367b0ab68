"""The trials of a run as columns for the page's own script: every value once, rounded."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import Any

from invsearch.metrics import Metric
from invsearch.report.text import fidelity, number_format, pixels, short, trial_seconds
from invsearch.runs import RunData
from invsearch.runs.columns import metric_names, parameter_columns, shown_names
from invsearch.value import rounded

__all__ = ["coded", "trial_columns"]


def trial_columns(run: RunData) -> dict[str, Any]:
    """Return a run's trials as columns of equal length.

    Returns:
        ``name``, ``folder``; ``number``, ``seed``, ``seconds`` and ``p_front`` as plain lists;
        ``state``, ``origin`` and ``reason`` as :func:`coded`; ``metrics``, objectives first, each
        with ``values``, ``low``, ``high``, ``belief`` (value, low, high, where it is noisy) and
        coded ``source`` and ``notes``; ``parameters``, each coded with its ``name``, its ``label``
        for people and the name of its ``column`` in a table.
    """
    trials = run.trials
    chance = {member.trial.number: rounded(member.p_front) for member in run.members}
    parameters = parameter_columns(trials)
    labels = shown_names(trials)
    return {
        "name": run.name,
        "folder": run.path.resolve().name,
        "number": [trial.number for trial in trials],
        "state": coded(trial.state for trial in trials),
        "p_front": [chance.get(trial.number) for trial in trials],
        "origin": coded(trial.origin for trial in trials),
        "seed": [trial.seed for trial in trials],
        "seconds": [_seconds(trial_seconds(trial)) for trial in trials],
        "reason": coded(trial.error or None for trial in trials),
        "metrics": [_metric(run, name) for name in metric_names(trials, run.objectives)],
        "parameters": [
            {
                "name": name,
                "label": labels.get(name, name),
                "column": column,
                **coded(t.architecture.get(name) for t in trials),
            }
            for name, column in parameters.items()
        ],
    }


def coded(values: Iterable[Any]) -> dict[str, list[Any]]:
    """Write a column as its different values and, row by row, the place of each among them.

    Args:
        values: Strings, numbers or booleans; None where there is none.

    Returns:
        ``levels``, numbers first in their order, then the others as they come; ``codes``, -1 for
        None.
    """
    column = list(values)
    found: dict[Hashable, Any] = {_key(value): value for value in column if value is not None}
    numbers = sorted(value for value in found.values() if _is_number(value))
    levels = [*numbers, *(value for value in found.values() if not _is_number(value))]
    place = {_key(level): index for index, level in enumerate(levels)}
    return {"levels": levels, "codes": [place.get(_key(value), -1) for value in column]}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _key(value: object) -> Hashable:
    """Tell ``True`` from ``1``, which are equal."""
    return type(value).__name__ if value is None else (isinstance(value, bool), value)


def _seconds(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


def _metric(run: RunData, name: str) -> dict[str, Any]:
    metrics = [trial.metrics.get(name) for trial in run.trials]
    known = run.outline.model
    return {
        "name": name,
        "label": short(name, known=known),
        "objective": name in run.objectives,
        "format": number_format(name, known=known).to_json(),
        "values": [rounded(metric.value) if metric else None for metric in metrics],
        **_ends(metrics),
        "belief": _beliefs(run, name),
        "source": coded(metric and metric.source for metric in metrics),
        "notes": coded(_notes(metric) if metric else None for metric in metrics),
    }


def _ends(metrics: Sequence[Metric | None]) -> dict[str, list[float | None]]:
    """Return the 95 % intervals; nothing where no trial has one."""
    if not any(metric and metric.low is not None for metric in metrics):
        return {"low": [], "high": []}
    return {
        end: [rounded(getattr(metric, end)) if metric else None for metric in metrics]
        for end in ("low", "high")
    }


def _beliefs(run: RunData, name: str) -> list[list[float | None] | None]:
    """Return what is believed of each trial as value, low and high; nothing where it is exact."""
    if run.beliefs is None or name not in run.beliefs.uncertain:
        return []
    found = (run.believed(trial.number).get(name) for trial in run.trials)
    return [[rounded(end) for end in one.values()] if one else None for one in found]


def _notes(metric: Metric) -> str:
    """Return where a number comes from, as ``a; b; c``.

    Its source, with the convention and the image of a cost; what was spent; its seeds.
    """
    convention = str(metric.detail.get("convention") or "")
    image = pixels(metric.image) if metric.image else ""
    source = ", ".join(filter(None, (metric.source, convention, image)))
    seeds = f"mean of {metric.n} seeds" if metric.n > 1 else ""
    return "; ".join(part for part in (source, fidelity(metric.fidelity), seeds) if part)
