"""Pick: one trial of a run, with the network that it stands for."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from invsearch.errors import InputError, NotHereError
from invsearch.models import SearchedSpec
from invsearch.plugins import STRATEGIES
from invsearch.problem.kinds import network_problem_of
from invsearch.problem.network import NetworkProblem
from invsearch.runs import RunFolder, Trial, outline
from invsearch.runs.load import find_run
from invsearch.space import load_space_file
from invsearch.takeaway.operators import operator_overrides

__all__ = ["Pick", "locked", "pick"]


@dataclass(frozen=True)
class Pick:
    """One trial of a run.

    Attributes:
        folder: The run's folder.
        problem: What the run's own copy of its space file asks for.
        trial: The trial, replicates folded in.
    """

    folder: RunFolder
    problem: NetworkProblem
    trial: Trial

    @property
    def name(self) -> str:
        """The trial in words, for messages."""
        return f"trial {self.trial.number} of {self.folder.path}"

    @property
    def spec(self) -> SearchedSpec:
        """The full-size network, or the detector or segmenter around it."""
        return self.problem.searched(self.trial.architecture)

    @property
    def origin(self) -> dict[str, Any]:
        """Where the network comes from, as ``config.json`` has it."""
        return {
            "run": self.folder.path.resolve().name,
            "trial": self.trial.number,
            "architecture": self.trial.architecture.to_json(),
            "operators": list(self.problem.file.operators),
        }

    @property
    def resolution(self) -> int:
        """Side in pixels of the images that the run's costs are for, of networks that classify."""
        assert self.problem.file.model is not None
        return self.problem.file.model.resolution


def pick(run: str | Path, number: int, settings: Sequence[str] = (), *, data: bool = False) -> Pick:
    """Find one trial of a run and load the space that it comes from.

    Args:
        run: The run's folder, or its name under ``results/``.
        number: The trial's number.
        settings: ``a.b=c`` each, applied to the run's copy of its space file.
        data: Whether the data set is needed; if not, one that is gone is no error.

    Raises:
        InputError: In one line, if there is no such run or trial, if its space is not one of
            networks, or if something that the space names cannot be found or imported.
    """
    folder = RunFolder(find_run(run))
    found = outline(_space_text(folder))
    if not found.model:
        raise InputError(
            f"{folder.path} is the run of a space with 'evaluator': its trials are parameters of a "
            "function of yours, and there is no network to take home"
        )
    trial = _trial(folder, number)
    settings = [*operator_overrides(folder), *settings]
    if not data and "dataset" in found.accuracy:
        settings.append("accuracy.dataset=digits")  # never read: it only has to be there
    if found.search.get("strategy", "random") not in STRATEGIES:
        settings.append("search.strategy=random")  # a plug-in that is gone; nothing is searched
    try:
        file = load_space_file(folder.space_path, settings)
        return Pick(folder, network_problem_of(file), trial)
    except InputError as error:
        if not any(isinstance(one, NotHereError) for one in (error, error.__cause__)):
            raise
        raise InputError(
            f"{error}: run this command in the folder where the search was started, "
            f"or put what is missing into {folder.path}"
        ) from error


def locked(folder: RunFolder) -> AbstractContextManager[None]:
    """Hold a run's lock, as a search of it does.

    Raises:
        InputError: On entering, if another process holds it.
    """
    return folder.lock(elsewhere=False)


def _space_text(folder: RunFolder) -> str:
    text = folder.space_text()
    if not text.strip():
        raise InputError(f"{folder.path} has no {folder.space_path.name}: it is not a whole run")
    return text


def _trial(folder: RunFolder, number: int) -> Trial:
    trials = {trial.number: trial for trial in folder.trials()}
    if number in trials:
        return trials[number]
    if not trials:
        raise InputError(f"{folder.path} has no trial {number}: it has no finished trials yet")
    close = min(trials, key=lambda known: abs(known - number))
    raise InputError(
        f"{folder.path} has no trial {number}: the nearest is {close}, and it has "
        f"{len(trials)} between {min(trials)} and {max(trials)}"
    )
