"""Trial: an architecture evaluated, as one line of trials.jsonl."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from invsearch.metrics import Metric
from invsearch.space.architecture import Architecture

__all__ = ["SCHEMA", "Origin", "State", "Trial"]

SCHEMA = 1  # of the JSON; rises with every change that readers must know of
State = Literal["complete", "stopped", "failed", "infeasible"]
Origin = Literal["baseline", "sampler", "retry", "user", "imported"]


@dataclass(frozen=True)
class Trial:
    """An architecture evaluated.

    Attributes:
        number: Number within the run, from 0; orphans of a kill leave gaps.
        state: ``complete``, ``stopped`` (weak at a rung), ``failed`` or ``infeasible``.
        architecture: The point of the space.
        metrics: Every metric that was obtained, by name.
        constraints: By metric, how far the bound is exceeded (<= 0 is feasible).
        origin: Who asked for it: a ``user``'s own point, or one ``imported`` with its results.
        seed: Seed of its evaluation.
        started: When its evaluation began, ISO 8601 in UTC.
        finished: When it ended.
        environment: Id of the environment it ran in (``environment.json``).
        error: The reason, for ``failed`` and ``infeasible``.
    """

    number: int
    state: State
    architecture: Architecture
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    constraints: Mapping[str, float] = field(default_factory=dict)
    origin: Origin = "sampler"
    seed: int = 0
    started: str = ""
    finished: str = ""
    environment: str = ""
    error: str | None = None

    @property
    def counts(self) -> bool:
        """Whether the trial is charged to the budget of ``--trials``."""
        return self.state != "infeasible"

    def with_metrics(self, metrics: Mapping[str, Metric]) -> Trial:
        """Return the trial with these metrics added or replaced."""
        return replace(self, metrics={**self.metrics, **metrics})

    def to_json(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "number": self.number,
            "state": self.state,
            "architecture": self.architecture.to_json(),
            "metrics": {name: metric.to_json() for name, metric in self.metrics.items()},
            "constraints": dict(self.constraints),
            "origin": self.origin,
            "seed": self.seed,
            "started": self.started,
            "finished": self.finished,
            "environment": self.environment,
            "error": self.error,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Trial:
        return cls(
            number=data["number"],
            state=data["state"],
            architecture=Architecture(tuple(data["architecture"].items())),
            metrics={name: Metric.from_json(name, m) for name, m in data["metrics"].items()},
            constraints=data["constraints"],
            origin=data["origin"],
            seed=data["seed"],
            started=data["started"],
            finished=data["finished"],
            environment=data["environment"],
            error=data["error"],
        )
