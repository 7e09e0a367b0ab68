"""Adding a replicate to a run."""

from __future__ import annotations

from datetime import UTC, datetime

from invsearch.runs import Replicate, Trial, describe
from invsearch.takeaway.pick import Pick

__all__ = ["record", "times"]


def record(picked: Pick, replicate: Replicate) -> Trial:
    """Log a replicate, derive the front anew, and return the trial with everything folded in.

    The caller holds the run's lock.
    """
    folder = picked.folder
    folder.add_environment(describe())
    folder.append_replicate(replicate)
    trials = folder.trials()
    folder.write_front(trials, picked.problem.objectives)
    return next(trial for trial in trials if trial.number == replicate.number)


def times(started: datetime) -> tuple[str, str]:
    """When something began, and now, as the logs write it."""
    began, ended = started, datetime.now(UTC)
    return began.isoformat(timespec="milliseconds"), ended.isoformat(timespec="milliseconds")
