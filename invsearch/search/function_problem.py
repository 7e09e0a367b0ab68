"""The problem of a space with an ``evaluator:`` function of the user's."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

from invsearch.errors import InputError, TrialError
from invsearch.metrics import Metric
from invsearch.search.evaluation import Evaluation, FunctionEvaluation, metrics_from
from invsearch.search.problem import Problem
from invsearch.space.architecture import Architecture
from invsearch.space.functions import import_function

__all__ = ["FunctionProblem"]


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
