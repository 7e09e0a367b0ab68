"""What samplers are told of a trial beside its values: noise, and what it had reached at rungs.

:mod:`invsearch.search.sampler.reader` reads these user attributes, and says their form.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from invsearch.metrics import Metric
from invsearch.problem.problem import Problem
from invsearch.runs.trial import Trial

__all__ = ["told_beside"]


def told_beside(
    problem: Problem, trial: Trial, reached: Sequence[Mapping[str, Metric]]
) -> dict[str, Any]:
    """User attributes of a trial that ended; none where it has not all objectives.

    Args:
        problem: What is searched.
        trial: How it ended.
        reached: Its metrics at each rung that it passed.
    """
    names = list(problem.objectives)
    if not all(name in trial.metrics for name in names):
        return {}
    if trial.state == "stopped":
        values = _values(trial.metrics, names)
        return {"partial": {"fidelity": _fidelity(trial.metrics), "values": values}}
    sigma = [trial.metrics[name].sigma for name in names]
    rungs = {str(_fidelity(metrics)): _values(metrics, names) for metrics in reached}
    return {**({"sigma": sigma} if any(sigma) else {}), **({"rungs": rungs} if rungs else {})}


def _values(metrics: Mapping[str, Metric], names: Sequence[str]) -> list[float]:
    return [metrics[name].value for name in names]


def _fidelity(metrics: Mapping[str, Metric]) -> float:
    """The smallest fraction of a full training that any of the metrics had."""
    spent = [m.fidelity.epochs / m.fidelity.max_epochs for m in metrics.values() if m.fidelity]
    return min(spent, default=1.0)
