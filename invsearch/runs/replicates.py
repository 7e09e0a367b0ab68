"""Replicates: further seeds of a trial, folded into its metrics."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from invsearch.metrics import Metric
from invsearch.runs.trial import SCHEMA, Trial

__all__ = ["Replicate", "fold", "with_tests"]

_Z = 1.959964  # of a two-sided 95 % interval


@dataclass(frozen=True)
class Replicate:
    """A further seed of one trial.

    Attributes:
        number: The trial's number.
        seed: The seed of this evaluation.
        metrics: The metrics it obtained.
        started: When it began, ISO 8601 in UTC.
        finished: When it ended.
        environment: Id of the environment it ran in.
        constraints: By metric that has a bound, how far that is exceeded.
    """

    number: int
    seed: int
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    started: str = ""
    finished: str = ""
    environment: str = ""
    constraints: Mapping[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "number": self.number,
            "seed": self.seed,
            "metrics": {name: metric.to_json() for name, metric in self.metrics.items()},
            "constraints": dict(self.constraints),
            "started": self.started,
            "finished": self.finished,
            "environment": self.environment,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Replicate:
        return cls(
            number=data["number"],
            seed=data["seed"],
            metrics={name: Metric.from_json(name, m) for name, m in data["metrics"].items()},
            constraints=data.get("constraints", {}),
            started=data["started"],
            finished=data["finished"],
            environment=data["environment"],
        )


def _mean(first: Metric, further: Sequence[Metric]) -> Metric:
    """Return the mean over seeds with a 95 % interval.

    The variance of one seed is the larger of the spread between seeds and what each seed's own
    interval says: two seeds that happen to agree do not make a number exact.
    """
    values = [first.value, *(metric.value for metric in further)]
    n = len(values)
    mean = math.fsum(values) / n
    between = math.fsum((value - mean) ** 2 for value in values) / (n - 1)
    within = math.fsum(metric.sigma**2 for metric in (first, *further)) / n
    half = _Z * math.sqrt(max(between, within) / n)
    return replace(first, value=mean, low=mean - half, high=mean + half, n=n)


def _kind(metric: Metric) -> tuple[object, ...]:
    """What two values must share to be of one quantity; a data set may have moved meanwhile."""
    spent = metric.fidelity
    return metric.source, spent and replace(spent, dataset=Path(spent.dataset).name)


def _adds_to(own: Metric, further: Metric) -> bool:
    """Whether a further seed's metric tells anything about the trial's."""
    if _kind(own) != _kind(further):
        return False
    ends = (own.value, own.low, own.high)
    return own.source != "evaluated" or ends != (further.value, further.low, further.high)


def fold(trial: Trial, replicates: Iterable[Replicate]) -> Trial:
    """Return the trial with each replicated metric replaced by its mean, interval and n.

    What exceeds a bound is a mean over the same seeds.

    Args:
        trial: A trial as it was logged.
        replicates: Its replicates; a metric of another source or fidelity than the trial's is left
            out, since the two are not one quantity, and so is what a function of the user's gave
            twice to the last digit: it is deterministic, and repeating it tells nothing.
    """
    further: dict[str, list[Metric]] = {}
    excess = {name: [value] for name, value in trial.constraints.items()}
    for replicate in replicates:
        for name, metric in replicate.metrics.items():
            own = trial.metrics.get(name)
            if own is not None and _adds_to(own, metric):
                further.setdefault(name, []).append(metric)
                if name in excess and name in replicate.constraints:
                    excess[name].append(replicate.constraints[name])
    folded = trial.with_metrics(
        {name: _mean(trial.metrics[name], metrics) for name, metrics in further.items()}
    )
    return replace(folded, constraints={n: math.fsum(e) / len(e) for n, e in excess.items()})


def with_tests(trials: Iterable[Trial], tests: Iterable[Replicate]) -> list[Trial]:
    """Return the trials with what is known of them on the test set, means over their trainings.

    Args:
        trials: Of the run.
        tests: A line for each training that was judged.
    """
    found: dict[int, dict[str, list[Metric]]] = {}
    for test in tests:
        for name, metric in test.metrics.items():
            found.setdefault(test.number, {}).setdefault(name, []).append(metric)
    return [
        trial.with_metrics(
            {
                name: metrics[0] if len(metrics) == 1 else _mean(metrics[0], metrics[1:])
                for name, metrics in found.get(trial.number, {}).items()
            }
        )
        for trial in trials
    ]
