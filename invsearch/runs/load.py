"""A run as Python objects and as pandas."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from invsearch.errors import InputError, nearest
from invsearch.metrics import Direction
from invsearch.runs.beliefs import Beliefs, believe
from invsearch.runs.columns import BELIEF_COLUMNS, METRIC_COLUMNS, metric_names, parameter_columns
from invsearch.runs.curves import CurvePoint, curve_frame
from invsearch.runs.folder import RunFolder
from invsearch.runs.front import FrontMember, front, hypervolume_trace, non_dominated, oriented
from invsearch.runs.outline import SpaceOutline, outline
from invsearch.runs.reliability import Reliability, Seeds, reliability
from invsearch.runs.replicates import with_tests
from invsearch.runs.trial import Trial

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["RESULTS", "RunData", "find_run", "load_run"]

RESULTS = Path("results")


@dataclass(frozen=True)
class RunData:
    """Everything a run folder holds.

    Attributes:
        path: The folder.
        trials: The trials in the order of their numbers, replicates folded in; those of the final
            front with ``test_loss``, ``test_error`` and ``test_top1``, where they were trained.
        environment: ``environment.json``.
        space_text: ``space.yaml``.
        notices: What reading dropped, in words.
        seeds: By trained metric and trial, its value from each seed.
    """

    path: Path
    trials: tuple[Trial, ...]
    environment: Mapping[str, Any] = field(default_factory=dict)
    space_text: str = ""
    notices: tuple[str, ...] = ()
    seeds: Seeds = field(default_factory=dict)

    @cached_property
    def outline(self) -> SpaceOutline:
        """The space's name, objectives, constraints and search section."""
        return outline(self.space_text)

    @property
    def name(self) -> str:
        """The space's name, or the folder's where the space does not say."""
        return self.outline.name or self.path.name

    @property
    def objectives(self) -> Mapping[str, Direction]:
        """Direction by metric."""
        return self.outline.objectives

    @property
    def constraints(self) -> Mapping[str, Mapping[str, float]]:
        """By metric, the bounds ``min`` and ``max`` that are given."""
        return self.outline.constraints

    @cached_property
    def members(self) -> tuple[FrontMember, ...]:
        """The front with each member's probability of truly being on it."""
        return tuple(front(self.trials, self.objectives, beliefs=self.beliefs))

    @cached_property
    def beliefs(self) -> Beliefs | None:
        """What is believed of the complete trials' objectives; None where they are as observed."""
        return believe(self.trials, self.objectives, self.seeds)

    def believed(self, number: int) -> dict[str, dict[str, float]]:
        """What is believed of a trial as plain data: by objective ``value``, ``low``, ``high``.

        Empty where what was observed stands.
        """
        found = self.beliefs.of(number) if self.beliefs is not None else {}
        return {name: belief.to_json() for name, belief in found.items()}

    def as_believed(self, trial: Trial) -> Trial:
        """A trial with what is believed of its objectives in place of what was observed."""
        return trial if self.beliefs is None else self.beliefs.applied(trial)

    @cached_property
    def border(self) -> tuple[Trial, ...]:
        """The members that nothing dominates by what is believed, as they are believed."""
        trials = [self.as_believed(member.trial) for member in self.members]
        kept = non_dominated(oriented(trials, self.objectives))
        return tuple(trial for trial, keep in zip(trials, kept, strict=True) if keep)

    @cached_property
    def hypervolume(self) -> tuple[tuple[int, float], ...]:
        """``(trial number, dominated share of the objectives' box)``, trial by trial."""
        return tuple(hypervolume_trace(self.trials, self.objectives))

    def outcome(self) -> dict[str, Any]:
        """What was found, as plain data: how many trials ended how, and the front."""
        return {
            "run": str(self.path),
            "name": self.name,
            "ended": self.environment.get("ended"),
            "trials": dict(Counter(trial.state for trial in self.trials)),
            "front": [self._told(member) for member in self.members],
        }

    def _told(self, member: FrontMember) -> dict[str, Any]:
        believed = self.believed(member.trial.number)
        return {
            "trial": member.trial.number,
            "architecture": member.trial.architecture.to_json(),
            "metrics": {name: metric.to_json() for name, metric in member.trial.metrics.items()},
            "p_front": member.p_front,
            **({"beliefs": believed} if believed else {}),
        }

    @cached_property
    def reliabilities(self) -> Mapping[str, Reliability]:
        """What one training can tell, by trained metric; none where no trial has two seeds."""
        found = {name: reliability(values.values()) for name, values in self.seeds.items()}
        return {name: one for name, one in found.items() if one is not None}

    def reliability(self) -> dict[str, dict[str, float]]:
        """How much of a ranking by each trained metric is the architectures', not the seeds'.

        Returns:
            By metric ``value`` (the intraclass correlation of one training) with its 95 % interval
            ``low`` and ``high``; ``seed_sd`` and ``architecture_sd`` in the metric's unit; ``n``,
            the architectures compared. A metric is left out where fewer than three were trained, or
            none from two seeds.
        """
        keys = ("value", "low", "high", "seed_sd", "architecture_sd", "n")
        return {
            name: {key: getattr(one, key) for key in keys}
            for name, one in self.reliabilities.items()
        }

    def frame(self) -> pd.DataFrame:
        """Return one row per trial.

        Returns:
            Columns ``number, state, origin, seed, started, finished, reason`` (the text of a
            failure; ``error`` is a metric), one per parameter (``param.<name>`` where the name is
            taken), and per metric ``<metric>``, ``<metric>_low``, ``<metric>_high``,
            ``<metric>_source``, objectives first; where any is noisy, last ``<objective>_belief``,
            ``<objective>_belief_low`` and ``<objective>_belief_high``.
        """
        return self._frame(self.trials)

    def front(self) -> pd.DataFrame:
        """Return :meth:`frame` for the front's members, with the further column ``p_front``."""
        table = self._frame([member.trial for member in self.members])
        table["p_front"] = [member.p_front for member in self.members]
        return table

    def curves(self) -> pd.DataFrame:
        """Return one row per step of every evaluation, by trial, seed and step.

        Returns:
            Columns ``trial, seed, step, seconds``, those of the fidelity (``max_epochs, resolution,
            width, data_fraction``) and one per metric: ``train_loss`` after every epoch of a
            training, those of the validation set where it was judged. No rows where the run keeps
            no curves: nothing of it has steps, or a version before them made it.
        """
        return curve_frame(self.points)

    @cached_property
    def points(self) -> list[CurvePoint]:
        """What every step of every evaluation brought, in the order of the log."""
        return RunFolder(self.path).curves.read()

    def _frame(self, trials: list[Trial] | tuple[Trial, ...]) -> pd.DataFrame:
        import pandas as pd

        metrics = metric_names(self.trials, self.objectives)
        parameters = parameter_columns(self.trials, metrics)
        columns: dict[str, Any] = {
            name: [getattr(trial, name) for trial in trials]
            for name in ("number", "state", "origin", "seed")
        }
        for name in ("started", "finished"):
            times = pd.Series([getattr(trial, name) or None for trial in trials], dtype=object)
            columns[name] = pd.to_datetime(times, utc=True, format="ISO8601", errors="coerce")
        columns["reason"] = [trial.error for trial in trials]
        for name, column in parameters.items():
            columns[column] = [trial.architecture.get(name) for trial in trials]
        for name in metrics:
            found = [trial.metrics.get(name) for trial in trials]
            for suffix, key in zip(METRIC_COLUMNS, ("value", "low", "high", "source"), strict=True):
                kind = object if key == "source" else "float64"
                values = [getattr(metric, key, None) for metric in found]
                columns[f"{name}{suffix}"] = pd.Series(values, dtype=kind)
        if self.beliefs is not None:
            believed = [self.believed(trial.number) for trial in trials]
            for name in self.objectives:
                for suffix, key in zip(BELIEF_COLUMNS, ("value", "low", "high"), strict=True):
                    values = [one[name][key] if one else None for one in believed]
                    columns[f"{name}{suffix}"] = pd.Series(values, dtype="float64")
        return pd.DataFrame(columns)


def find_run(path: str | Path) -> Path:
    """Return the folder of a run given by its path, or by its name under ``results/``.

    Raises:
        InputError: If there is none; it names the nearest run, or those there are.
    """
    for candidate in (Path(path), RESULTS / path):
        if candidate.is_dir() and RunFolder(candidate).exists:
            return candidate
    names = _names()
    known = nearest(Path(path).name, names) or (
        f" (there are: {', '.join(names)})" if names else ""
    )
    if Path(path).is_dir():
        raise InputError(f"{path} holds no run: no space.yaml, trials.jsonl or the like{known}")
    raise InputError(f"there is no run {str(path)!r}, neither here nor under {RESULTS}/{known}")


def _names() -> list[str]:
    if not RESULTS.is_dir():
        return []
    return sorted(entry.name for entry in RESULTS.iterdir() if RunFolder(entry).exists)


def load_run(path: str | Path) -> RunData:
    """Load a run.

    Args:
        path: The run's folder, or its name under ``results/``.

    Returns:
        The run; a half-made or empty folder gives one with few or no trials.

    Raises:
        InputError: If there is no such run, or its trials are damaged other than in the last line.
    """
    folder = RunFolder(find_run(path))
    trials = sorted(with_tests(folder.trials(), folder.tests()), key=lambda trial: trial.number)
    return RunData(
        path=folder.path,
        trials=tuple(trials),
        environment=folder.environment(),
        space_text=folder.space_text(),
        notices=tuple(folder.notices),
        seeds=folder.seeds(),
    )
