"""Audits: latencies of the front measured again in turns, which stand for the trials' own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from invsearch.metrics import Metric
from invsearch.runs.trial import SCHEMA, Trial

__all__ = ["Audit", "with_audits"]


@dataclass(frozen=True)
class Audit:
    """What one trial's network took when it was measured in turns with others.

    Attributes:
        number: The trial's number.
        turn: The trials whose networks were to take turns, itself among them; a kill can part them.
        metrics: What was measured; ``detail`` keeps what the trial had ``before``.
        constraints: By metric that was measured and has a bound, how far that is exceeded.
        started: When the measurement began, ISO 8601 in UTC.
        finished: When it ended.
        environment: Id of the environment of who asked for it.
    """

    number: int
    turn: tuple[int, ...] = ()
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    constraints: Mapping[str, float] = field(default_factory=dict)
    started: str = ""
    finished: str = ""
    environment: str = ""

    def to_json(self) -> dict[str, Any]:
        metrics = {name: metric.to_json() for name, metric in self.metrics.items()}
        plain = {"turn": list(self.turn), "constraints": dict(self.constraints)}
        return {"schema": SCHEMA, **vars(self), **plain, "metrics": metrics}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Audit:
        metrics = {name: Metric.from_json(name, one) for name, one in data["metrics"].items()}
        known = {key: data[key] for key in ("number", "started", "finished", "environment")}
        turn = tuple(map(int, data["turn"]))
        return cls(**known, turn=turn, constraints=data["constraints"], metrics=metrics)


def with_audits(trial: Trial, audits: Iterable[Audit]) -> Trial:
    """Return the trial with the last audit of each metric in its place.

    Args:
        trial: As it was logged.
        audits: Of this trial, in the order of the log.
    """
    for audit in audits:
        constraints = {**trial.constraints, **audit.constraints}
        trial = replace(trial.with_metrics(audit.metrics), constraints=constraints)
    return trial
