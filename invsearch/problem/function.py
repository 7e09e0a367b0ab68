"""The problem of a space with an ``evaluator:`` function of the user's."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from invsearch.errors import InputError, TrialError
from invsearch.evaluation import Evaluation, InstantEvaluation, Progress
from invsearch.metrics import Metric
from invsearch.problem.problem import Problem
from invsearch.space.architecture import Architecture, Value
from invsearch.space.functions import import_function

__all__ = ["FunctionEvaluation", "FunctionProblem", "metrics_from"]


class FunctionProblem(Problem):
    """Metrics come from ``evaluator:``, those known beforehand from ``costs:``."""

    def __getstate__(self) -> dict[str, Any]:
        return {"file": self.file}  # functions are imported anew where the problem arrives

    @property
    def needs_workers(self) -> bool:
        return True

    @cached_property
    def _evaluator(self) -> Callable[..., Any]:
        return import_function(str(self.file.evaluator), self.file.search_paths)

    @cached_property
    def _costs(self) -> Callable[..., Any] | None:
        return import_function(self.file.costs, self.file.search_paths) if self.file.costs else None

    def check(self) -> None:
        _ = self._evaluator, self._costs

    def known(self, architecture: Architecture) -> dict[str, Metric]:
        if self._costs is None:
            return {}
        try:
            return metrics_from(self._costs(architecture.to_json()), "costs function")
        except TrialError as error:
            raise InputError(f"costs: {self.file.costs}: {error}") from None
        except Exception as error:
            name = type(error).__name__
            raise InputError(
                f"costs: {self.file.costs} raised {name}: {error} for {architecture.key}"
            ) from error

    def evaluation(self, architecture: Architecture, seed: int) -> Evaluation:
        return FunctionEvaluation(self._evaluator, architecture.to_json())


class FunctionEvaluation(InstantEvaluation):
    """One call of the user's ``evaluator:`` function."""

    def __init__(
        self, function: Callable[[dict[str, Value]], Mapping[str, Any]], values: dict[str, Value]
    ) -> None:
        super().__init__({})
        self._function = function
        self._values = values

    def step(self) -> Progress:
        return Progress(1, True, metrics_from(self._function(dict(self._values)), "evaluator"))


def metrics_from(result: object, who: str) -> dict[str, Metric]:
    """Turn what a user's function returned into metrics of source ``evaluated``.

    Values are numbers, or mappings with ``value`` and optionally ``low`` and ``high``.

    Raises:
        TrialError: If it is no mapping of names to finite numbers.
    """
    if not isinstance(result, Mapping):
        raise TrialError(f"the {who} returned {type(result).__name__}, expected a dict of metrics")
    metrics = {}
    for name, entry in result.items():
        parts = dict(entry) if isinstance(entry, Mapping) else {"value": entry}
        try:
            value = float(parts["value"])
            low, high = (_number(parts.get(end)) for end in ("low", "high"))
        except (KeyError, TypeError, ValueError):
            raise TrialError(f"the {who} returned {name!r}: {entry!r}, not a number") from None
        if not all(math.isfinite(number) for number in (value, low, high) if number is not None):
            raise TrialError(f"the {who} returned {name!r}: {entry!r}, not a finite number")
        metrics[str(name)] = Metric(str(name), value, "evaluated", low, high)
    return metrics


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
