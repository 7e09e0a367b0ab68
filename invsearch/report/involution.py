"""Whether involution is on the front, and what keeps it off where it is not."""

from __future__ import annotations

import numpy as np

from invsearch.report.text import counted_noun, display, joined, short
from invsearch.runs import RunData, Trial
from invsearch.runs.front import comparable, oriented

__all__ = ["involution_sentence"]

_NAME = "involution"


def involution_sentence(run: RunData) -> str:
    """Return how many of the front's networks have an involution in a stage.

    Where none has, the network with one that the fewest dominate, and one of those that do; empty
    where the operator was not chosen.
    """
    if not run.outline.model or not run.members:
        return ""
    chosen = {value for trial in run.trials for value in _operators(trial)}
    if _NAME not in chosen or len(chosen) < 2:
        return ""
    members = [member.trial for member in run.members]
    having = sum(_NAME in _operators(trial) for trial in members)
    if having:
        of_all = counted_noun(len(members), "network")
        return f"An involution is in a stage of {having} of the front's {of_all}."
    return f"No network of the front has an involution in a stage{_why(run)}."


def _operators(trial: Trial) -> set[object]:
    """What the stages and blocks of a network hold, as far as it was chosen."""
    return {value for name, value in trial.architecture.items() if name.endswith("operator")}


def _why(run: RunData) -> str:
    trials = comparable(run.trials, run.objectives)
    values = oriented(trials, run.objectives)
    with_one = [row for row, trial in enumerate(trials) if _NAME in _operators(trial)]
    if not with_one:
        return ": no complete one has"
    better = {
        row: np.flatnonzero(
            (values <= values[row]).all(axis=1) & (values < values[row]).any(axis=1)
        )
        for row in with_one
    }
    nearest = min(with_one, key=lambda row: (len(better[row]), tuple(values[row])))
    first = int(better[nearest][0])
    return (
        f": of {len(with_one)} that have, trial {trials[nearest].number} comes nearest "
        f"({_figures(run, trials[nearest])}), and trial {trials[first].number} is at "
        f"least as good in everything ({_figures(run, trials[first])})"
    )


def _figures(run: RunData, trial: Trial) -> str:
    return joined(
        [
            f"{short(name, known=True)} {display(name, trial.metrics[name].value, known=True)}"
            for name in run.objectives
        ]
    )
