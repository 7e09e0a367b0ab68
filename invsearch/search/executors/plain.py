"""What evaluations bring, as plain data: for a channel, or a file, that must not be unpickled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from invsearch.evaluation import Outcome, Progress
from invsearch.metrics import Fidelity, Metric

__all__ = ["outcome_from", "plain_outcome", "plain_progress", "progress_from"]


def plain_progress(progress: Progress) -> dict[str, Any]:
    """Return what a step brought as plain data."""
    spent = progress.spent and progress.spent.to_json()
    losses = dict(progress.losses)
    return {**vars(progress), "metrics": _plain(progress.metrics), "losses": losses, "spent": spent}


def progress_from(data: Mapping[str, Any]) -> Progress:
    """The inverse of :func:`plain_progress`, whatever else stands beside it."""
    spent = data["spent"] and Fidelity.from_json(data["spent"])
    return Progress(
        data["step"],
        data["done"],
        _metrics(data["metrics"]),
        data["stopped"],
        data["losses"],
        spent,
        data["seconds"],
    )


def plain_outcome(outcome: Outcome) -> dict[str, Any]:
    """Return how an evaluation ended as plain data."""
    untold = [plain_progress(reached) for reached in outcome.untold]
    return {**vars(outcome), "metrics": _plain(outcome.metrics), "untold": untold}


def outcome_from(data: Mapping[str, Any]) -> Outcome:
    """The inverse of :func:`plain_outcome`."""
    untold = tuple(progress_from(reached) for reached in data["untold"])
    return Outcome(**{**data, "metrics": _metrics(data["metrics"]), "untold": untold})


def _plain(metrics: Mapping[str, Metric]) -> dict[str, Any]:
    return {name: metric.to_json() for name, metric in metrics.items()}


def _metrics(data: Mapping[str, Any]) -> dict[str, Metric]:
    return {name: Metric.from_json(name, metric) for name, metric in data.items()}
