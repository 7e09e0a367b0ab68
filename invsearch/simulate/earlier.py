"""EarlierRun: the trials of a run as the table of a simulation, and a model of what they lack.

An architecture that the run evaluated has that trial's values. Any other has a prediction: a sum
over its choices (the same additive model that warm starts use, on the logarithm where a metric is
positive), times the ratio that the model misses a trial of the run by, drawn anew for every
architecture. Without that scatter the simulated landscape would be an easier one than the run's.
"""

from __future__ import annotations

import json
import math
import random
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from invsearch.errors import InputError
from invsearch.evaluation import Progress
from invsearch.metrics import Metric
from invsearch.problem.problem import Problem
from invsearch.runs import RunData, RunFolder, Trial
from invsearch.search.journal import CREATE_TRIAL
from invsearch.search.seeds import derive_seed
from invsearch.search.warm_start import Additive
from invsearch.simulate.durations import Durations
from invsearch.simulate.problem import Course
from invsearch.space.architecture import Architecture, Value

__all__ = ["EarlierRun"]

_ENOUGH = 8  # trials: as for a warm start

Points = list[tuple[Mapping[str, Value], Metric]]


class EarlierRun:
    """Results by the trials of an earlier run.

    Args:
        problem: The run's problem.
        run: The run.

    Raises:
        InputError: If the run has too few complete trials with what its search wants.
    """

    def __init__(self, problem: Problem, run: RunData) -> None:
        self._run = run
        complete = [trial for trial in run.trials if trial.state == "complete"]
        given = problem.known(complete[0].architecture) if complete else {}
        wanted = [name for name in problem.wanted if name not in given]
        self._final = {name: _Quantity(run, name, _values(complete, name)) for name in wanted}
        self._measured = {name for name in wanted if complete[0].metrics[name].source == "measured"}
        self._rungs = {
            rung: {name: _Quantity(run, name, points) for name, points in found.items()}
            for rung, found in _at_rungs(run).items()
            if rung in problem.file.search.rungs
            and all(len(points) >= _ENOUGH for points in found.values())
        }
        self._steps = _steps(complete, self._rungs)

    @property
    def durations(self) -> Durations:
        """What the run's complete trials took."""
        complete = (trial for trial in self._run.trials if trial.state == "complete")
        seen = {trial.architecture.key: _seconds(trial) for trial in complete}
        return Durations(seen={key: seconds for key, seconds in seen.items() if seconds > 0})

    def measured(self, architecture: Architecture) -> Mapping[str, Metric]:
        return {name: self._final[name](architecture) for name in self._measured}

    def course(self, architecture: Architecture, seed: int) -> Course:
        reached = [
            (rung / self._steps, Progress(rung, False, _all(quantities, architecture)))
            for rung, quantities in sorted(self._rungs.items())
        ]
        trained = {n: one for n, one in self._final.items() if n not in self._measured}
        return [*reached, (1.0, Progress(self._steps, True, _all(trained, architecture)))]


class _Quantity:
    """One metric at one fidelity, for any architecture."""

    def __init__(self, run: RunData, name: str, points: Points) -> None:
        if len(points) < _ENOUGH:
            raise InputError(
                f"{run.path} has {len(points)} complete trials with {name}: a simulation needs "
                f"{_ENOUGH} at least"
            )
        self._like = points[0][1]
        self._exact = {_key(point): metric for point, metric in points}
        values = [metric.value for _, metric in points]
        self._logarithmic = all(value > 0 for value in values)
        self._model = Additive([point for point, _ in points], values)
        fitted = [self._model(point) for point, _ in points]
        scaled = [math.log(value) for value in values] if self._logarithmic else values
        self._misses = [value - fit for value, fit in zip(scaled, fitted, strict=True)]

    def __call__(self, architecture: Architecture) -> Metric:
        exact = self._exact.get(_key(architecture))
        if exact is not None:
            return exact
        rng = random.Random(derive_seed(self._like.name, _key(architecture)))
        value = self._model(architecture) + rng.choice(self._misses)
        value = math.exp(value) if self._logarithmic else value
        return Metric(self._like.name, value, "predicted", fidelity=self._like.fidelity)


def _all(quantities: Mapping[str, _Quantity], architecture: Architecture) -> dict[str, Metric]:
    return {name: quantity(architecture) for name, quantity in quantities.items()}


def _key(point: Mapping[str, Value]) -> str:
    return json.dumps(dict(point), sort_keys=True)


def _values(trials: list[Trial], name: str) -> Points:
    return [(t.architecture, t.metrics[name]) for t in trials if name in t.metrics]


def _at_rungs(run: RunData) -> dict[int, dict[str, Points]]:
    """By rung and metric, what trials had reached when they were judged; from the journal."""
    found: dict[int, dict[str, Points]] = defaultdict(lambda: defaultdict(list))
    architectures: dict[int, Mapping[str, Value]] = {}
    before: dict[int, int] = {}  # a promotion repeats what the trial had reached until then
    for trial, name, value in _attributes(run):
        if name == "architecture":
            architectures[trial] = value
        elif name == "promoted":
            before[trial] = value
        elif not name.startswith("rung:") or int(name[5:]) <= before.get(trial, 0):
            continue
        elif trial in architectures:
            for metric, data in value.items():
                point = (architectures[trial], Metric.from_json(metric, data))
                found[int(name[5:])][metric].append(point)
    return found


def _attributes(run: RunData) -> Iterator[tuple[int, str, Any]]:
    """The trials' user attributes in the study's journal: (trial, name, value), as written."""
    path, created = RunFolder(run.path).study_path, 0
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        try:
            record = json.loads(line)
        except ValueError:  # the torn end of a killed run
            return
        trial = record.get("trial_id")
        if record["op_code"] == CREATE_TRIAL:  # a trial that was written as one record
            trial, created = created, created + 1
        if trial is not None:
            for name, value in {
                **record.get("user_attrs", {}),
                **record.get("user_attr", {}),
            }.items():
                yield trial, name, value


def _steps(trials: list[Trial], rungs: Mapping[int, object]) -> int:
    """Steps of a whole trial: its epochs, or one past the last rung where nothing tells."""
    fidelities = (m.fidelity for trial in trials for m in trial.metrics.values())
    epochs = max((f.max_epochs for f in fidelities if f is not None), default=0)
    return max(epochs, max(rungs, default=0) + 1)


def _seconds(trial: Trial) -> float:
    begun, ended = (datetime.fromisoformat(t) for t in (trial.started, trial.finished))
    return (ended - begun).total_seconds()
