"""The final front on the test set: judged once, when the search is over, and never searched by.

A worker leaves the weights of a complete training in ``checkpoints/<trial>/``. While the search
goes on only those are kept that may end on the front; when it is over the front's are judged, and
all are removed. A training whose weights are on another machine's disk is left out.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from invsearch.evaluation import WEIGHTS
from invsearch.problem.problem import Problem
from invsearch.runs import Replicate, RunFolder, front

__all__ = ["clear", "judge_front", "prune"]

_LAYERS = 2  # the front, and who takes a place on it where a replicate makes one fall back


def clear(checkpoints: Path) -> None:
    """Remove a trial's checkpoints, not the weights that it ended with."""
    for path in checkpoints.iterdir() if checkpoints.is_dir() else ():
        if not path.match(WEIGHTS.format(seed="*")):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    _tidy(checkpoints)


def prune(folder: RunFolder, problem: Problem) -> None:
    """Remove the weights of trials that are neither on the front nor next to it."""
    left = [trial for trial in folder.trials() if _weights(folder, trial.number)]
    if not left:
        return
    trials, kept = folder.trials(), set[int]()
    beliefs = folder.beliefs(trials, problem.objectives)
    for _ in range(_LAYERS):
        found = front(trials, problem.objectives, beliefs=beliefs, draws=1)
        members = {member.trial.number for member in found}
        kept |= members
        trials = [trial for trial in trials if trial.number not in members]
    for trial in left:
        if trial.number not in kept:
            _remove(folder, trial.number)


def judge_front(problem: Problem, folder: RunFolder, environment: str) -> int:
    """Judge the networks of the front on the test set, each training once in the life of the run.

    Args:
        problem: What was searched.
        folder: The run's folder, locked by the caller.
        environment: Id of this process's environment.

    Returns:
        How many members of the front have a figure.
    """
    trials = folder.trials()
    beliefs = folder.beliefs(trials, problem.objectives)
    members = [member.trial for member in front(trials, problem.objectives, beliefs=beliefs)]
    known = {(one.number, one.seed) for one in folder.tests()}
    for trial in members:
        for seed, path in _weights(folder, trial.number):
            if (trial.number, seed) in known:
                continue
            started = _now()
            metrics = problem.test(trial.architecture, path)
            folder.append_test(Replicate(trial.number, seed, metrics, started, _now(), environment))
            known.add((trial.number, seed))
    for trial in trials:
        _remove(folder, trial.number)
    return len({trial.number for trial in members} & {number for number, _ in known})


def _weights(folder: RunFolder, number: int) -> list[tuple[int, Path]]:
    """The seeds whose weights are here, and the files."""
    return sorted(_found(folder.checkpoint_dir(number)))


def _found(checkpoints: Path) -> Iterator[tuple[int, Path]]:
    before, after = WEIGHTS.split("{seed}")
    for path in checkpoints.glob(WEIGHTS.format(seed="*")):
        yield int(path.name.removeprefix(before).removesuffix(after)), path


def _remove(folder: RunFolder, number: int) -> None:
    for _, path in _weights(folder, number):
        path.unlink()
    _tidy(folder.checkpoint_dir(number))


def _tidy(checkpoints: Path) -> None:
    if checkpoints.is_dir() and not any(checkpoints.iterdir()):
        checkpoints.rmdir()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
