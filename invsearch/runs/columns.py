"""The columns that a table of trials has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from invsearch.metrics import KNOWN_METRICS
from invsearch.runs.trial import Trial

__all__ = [
    "BELIEF_COLUMNS", "METRIC_COLUMNS", "TRIAL_COLUMNS", "metric_names", "parameter_columns",
    "shown_name", "shown_names", "tested",
]  # fmt: skip

TRIAL_COLUMNS = ("number", "state", "origin", "seed", "started", "finished", "reason")
METRIC_COLUMNS = ("", "_low", "_high", "_source")
_STEMS = ("rednet", "resnet")  # families that share their stages
BELIEF_COLUMNS = ("_belief", "_belief_low", "_belief_high")


def metric_names(trials: Iterable[Trial], first: Iterable[str] = ()) -> tuple[str, ...]:
    """Return every metric's name: those of ``first``, then the others as they come."""
    names = dict.fromkeys(first)
    for trial in trials:
        names.update(dict.fromkeys(trial.metrics))
    return tuple(names)


def parameter_columns(trials: Sequence[Trial], metrics: Iterable[str] = ()) -> Mapping[str, str]:
    """Return the column of each parameter, in the order in which parameters first appear.

    A parameter has the column of its own name, or ``param.<name>`` where another column of the
    table is called so.

    Args:
        trials: All trials of the run.
        metrics: Names of metrics beyond those that the trials have.
    """
    names: dict[str, None] = {}
    for trial in trials:
        names.update(dict.fromkeys(trial.architecture))
    taken = {"trial", "p_front", *TRIAL_COLUMNS}
    for metric in metric_names(trials, metrics):
        taken.update(f"{metric}{suffix}" for suffix in (*METRIC_COLUMNS, *BELIEF_COLUMNS))
    return {name: f"param.{name}" if name in taken else name for name in names}


def shown_name(name: str, trial: Trial) -> str:
    """Return what a parameter is called for people: ``family`` is ``stem`` where it says no more.

    Where every stage has an operator of its own, a ResNet's stages are what these say, and of the
    family (in spaces written before ``stem`` was a setting) only the stem is left.
    """
    given = {one for one in trial.architecture if one.rpartition(".")[2] == "operator"}
    stages = {one.partition(".")[0] for one in given}
    whole = "operator" in given or {f"stage{number}" for number in range(1, 5)} <= stages
    alone = "stem" not in trial.architecture and trial.architecture.get("family") in _STEMS
    return "stem" if name == "family" and whole and alone else name


def shown_names(trials: Iterable[Trial]) -> dict[str, str]:
    """Return what each parameter is called for people; see :func:`shown_name`."""
    return {name: shown_name(name, trial) for trial in trials for name in trial.architecture}


def tested(objectives: Iterable[str], trials: Iterable[Trial]) -> tuple[str, ...]:
    """Return what stands beside the objectives: their like on the test set, where any trial has it.

    Args:
        objectives: Names of metrics.
        trials: With what is known of them on the test set.
    """
    there = {name for trial in trials for name in trial.metrics}
    likes = [KNOWN_METRICS[name].test for name in objectives if name in KNOWN_METRICS]
    return tuple(name for name in likes if name in there)
