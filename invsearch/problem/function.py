"""The problem of a space with an ``evaluator:`` function of the user's."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

from invsearch.errors import InputError, TrialError
from invsearch.evaluation import Evaluation, InstantEvaluation, Judge, Progress
from invsearch.metrics import Metric
from invsearch.problem.context import ContextStyle, TrialContext, context_style, seed_generators
from invsearch.problem.metrics_from import metrics_from
from invsearch.problem.problem import Problem
from invsearch.space.architecture import Architecture
from invsearch.space.functions import import_function
from invsearch.user_code.failure import UserCodeError
from invsearch.user_code.guard import Guard

__all__ = ["FunctionEvaluation", "FunctionProblem", "metrics_from"]

_TRIED = 32  # architectures whose costs tell which costs there are; a bad point may be among them


class FunctionProblem(Problem):
    """Metrics come from ``evaluator:``, those known beforehand from ``costs:``."""

    def __getstate__(self) -> dict[str, Any]:
        return {"file": self.file}  # functions are imported anew where the problem arrives

    @property
    def needs_workers(self) -> bool:
        return True

    @property
    def reports(self) -> bool:
        return self.takes_context

    @property
    def takes_context(self) -> bool:
        """Whether the evaluator takes a second argument, the trial's context."""
        return self._style != "none"

    @cached_property
    def known_names(self) -> tuple[str, ...]:
        """The costs that are known of some architectures, and so must be of all.

        Raises:
            InputError: If nothing is known of any that was tried; it says why.
        """
        if self._costs is None:
            return super().known_names
        names: dict[str, None] = {}
        reason, rng = "", random.Random(0)
        for _ in range(_TRIED):
            try:
                names.update(dict.fromkeys(self._costs_of(self.space.sample(rng))))
            except TrialError as error:
                reason = str(error)
        if reason and not names:
            raise InputError(f"{reason} (as wherever it was tried)")
        return tuple(names)

    @cached_property
    def _evaluator(self) -> Callable[..., Any]:
        return import_function(str(self.file.evaluator), self.file.search_paths)

    @cached_property
    def _style(self) -> ContextStyle:
        return context_style(self._evaluator, str(self.file.evaluator))

    @cached_property
    def _costs(self) -> Callable[..., Any] | None:
        return import_function(self.file.costs, self.file.search_paths) if self.file.costs else None

    def check(self) -> None:
        _ = self._style, self.known_names

    def known(self, architecture: Architecture) -> dict[str, Metric]:
        if self._costs is None:
            return {}
        found = self._costs_of(architecture)
        missing = [name for name in self.known_names if name not in found]
        if missing:
            raise TrialError(f"costs: {self.file.costs} gave no {', '.join(missing)}")
        return found

    def _costs_of(self, architecture: Architecture) -> dict[str, Metric]:
        costs = self._costs
        assert costs is not None
        guard = Guard(environment=False)
        try:
            return guard.call(lambda: metrics_from(costs(architecture.to_json()), "costs function"))
        except UserCodeError as error:
            how = " raised" if error.traceback else ":"
            raise TrialError(f"costs: {self.file.costs}{how} {error}") from None

    def evaluation(self, architecture: Architecture, seed: int) -> Evaluation:
        return FunctionEvaluation(self, architecture, seed)

    def call(self, architecture: Architecture, context: TrialContext) -> object:
        """Call the evaluator with or without the context, as it is written."""
        values = architecture.to_json()
        if self._style == "keyword":
            return self._evaluator(values, context=context)
        return self._evaluator(values, *([context] if self._style == "positional" else []))


class FunctionEvaluation(InstantEvaluation):
    """One call of the user's ``evaluator:`` function; reports come from within its one step."""

    def __init__(self, problem: FunctionProblem, architecture: Architecture, seed: int) -> None:
        super().__init__({})
        self._problem, self._architecture, self._seed = problem, architecture, seed
        self.attend(0, None, lambda progress: False)

    def attend(self, number: int, folder: Path | None, judge: Judge) -> None:
        last_rung = max(self._problem.file.search.rungs, default=0)
        self._context = TrialContext(number, self._seed, folder, judge, last_rung)

    def step(self) -> Progress:
        context = self._context
        seed_generators(self._seed)
        try:
            result = self._problem.call(self._architecture, context)
        except Exception:
            if context.stopped is None:
                raise
        if context.stopped is not None:
            at = context.stopped
            return Progress(at.step, True, at.metrics, stopped=True)
        return Progress(1, True, metrics_from(result, "evaluator"))
