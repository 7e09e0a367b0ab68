"""The trial as a user's evaluator sees it: its number, seed, folder, and a way to report."""

from __future__ import annotations

import inspect
import random
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from invsearch.errors import InputError, TrialError
from invsearch.evaluation import Judge, Progress
from invsearch.metrics import Fidelity
from invsearch.problem.metrics_from import metrics_from

__all__ = ["TrialContext", "context_style", "seed_generators"]

ContextStyle = Literal["none", "positional", "keyword"]


class TrialContext:
    """What an evaluator may take as its second argument, ``f(parameters, context)``.

    Attributes:
        number: The trial's number, from 0.
        seed: Of everything random in it; a replicate has another one. Python's, NumPy's and torch's
            global generators are seeded with it already.
    """

    def __init__(
        self, number: int, seed: int, folder: Path | None, judge: Judge, last_rung: int = 0
    ) -> None:
        """Args:
        number: The trial's.
        seed: The evaluation's.
        folder: Where the trial keeps what it needs to go on; None where there is no run.
        judge: Says whether the trial stops.
        last_rung: The last step at which it is judged.
        """
        self.number = number
        self.seed = seed
        self._folder, self._judge, self._last_rung = folder, judge, last_rung
        self.stopped: Progress | None = None
        self._reported = time.perf_counter()

    @property
    def folder(self) -> Path:
        """The trial's own folder, made when it is asked for.

        What is written here is still there when a trial that a kill interrupted is evaluated again,
        and goes when the trial has ended.
        """
        if self._folder is None:
            raise TrialError("context.folder: there is no folder outside of a search")
        self._folder.mkdir(parents=True, exist_ok=True)
        return self._folder

    def report(self, step: int, metrics: Mapping[str, Any]) -> bool:
        """Tell what has been reached, and learn whether to stop.

        Trials are judged at the first report at or after each of ``search.rungs``. An evaluator
        that is told to stop should return: whatever it returns, the trial ends as stopped with what
        was reported.

        Args:
            step: How far it is, in the unit of ``search.rungs``, such as epochs.
            metrics: What it would return if it ended now.

        Returns:
            True where the trial is to stop.

        Raises:
            TrialError: If the step is no whole number from 0, or the metrics are none.
        """
        if isinstance(step, bool) or not hasattr(step, "__index__") or step.__index__() < 0:
            raise TrialError(f"context.report: the step is {step!r}, not a whole number from 0")
        if self.stopped is not None:
            return True
        spent = Fidelity(int(step), max(self._last_rung, int(step)) + 1, 0)
        found = metrics_from(metrics, "context.report", spent)
        now = time.perf_counter()
        progress = Progress(int(step), False, found, seconds=now - self._reported)
        self._reported = now
        if self._judge(progress):
            self.stopped = progress
        return self.stopped is not None


def context_style(function: Callable[..., Any], name: str) -> ContextStyle:
    """How an evaluator takes the context: an optional second argument of another name is its own.

    Raises:
        InputError: If it takes neither ``f(parameters)`` nor ``f(parameters, context)``.
    """
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # written in C
        return "none"
    named = signature.parameters.get("context")
    for style, arguments, keywords in (
        ("keyword", (None,), {"context": None} if named else None),
        ("none", (None,), {}),
        ("positional", (None, None), {}),
    ):
        if keywords is not None and _binds(signature, *arguments, **keywords):
            return style  # type: ignore[return-value]
    raise InputError(
        f"{name!r} takes {signature}: an evaluator is called with the parameters, or with the "
        "parameters and a context"
    )


def _binds(signature: inspect.Signature, *arguments: object, **keywords: object) -> bool:
    try:
        signature.bind(*arguments, **keywords)
    except TypeError:
        return False
    return True


def seed_generators(seed: int) -> None:
    """Seed the global generators, so that trials do not depend on those before them."""
    random.seed(seed)
    if (numpy := sys.modules.get("numpy")) is not None:
        numpy.random.seed(seed)
    if (torch := sys.modules.get("torch")) is not None:
        torch.manual_seed(seed)
