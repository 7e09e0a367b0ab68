"""Problems over a small space with conditions, for the suites."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from invsearch.problem.function import FunctionProblem
from invsearch.runs import RunFolder, Trial
from invsearch.search.executors.serial import run_serial
from invsearch.search.session import Session
from invsearch.space import load_space_file

__all__ = ["landscape", "searched", "told"]

OBJECTIVES = {"error": "minimize", "size": "minimize"}
FINITE: Mapping[str, Any] = {
    "op": {"choice": ["conv", "inv"]},
    "kernel": {"range": [1, 7], "step": 2, "when": {"op": "conv"}},
    "groups": {"choice": [4, 8], "when": {"op": "inv"}},
    "depth": {"range": [1, 6], "step": 1},
}
"""36 architectures."""

CONTINUOUS: Mapping[str, Any] = {**FINITE, "rate": {"range": [0.001, 1], "log": True}}


def landscape(
    folder: Path,
    *,
    params: Mapping[str, Any] = FINITE,
    objectives: Mapping[str, str] = OBJECTIVES,
    evaluator: str = "landscape",
    counted: bool = True,
    limit: float | None = None,
    **search: Any,
) -> FunctionProblem:
    """A search of the landscape.

    Args:
        folder: Where its space file is written.
        params: What may vary.
        objectives: Of ``error``, ``size``, ``reach`` and ``waste``.
        evaluator: A function of :mod:`invsearch.testing.functions`.
        counted: Whether the size is known beforehand.
        limit: The largest size allowed.
        **search: Settings of the search.
    """
    functions = "invsearch.testing.functions"
    document = {
        "name": "landscape",
        "objectives": objectives,
        "constraints": {} if limit is None else {"size": {"max": limit}},
        "params": params,
        "evaluator": f"{functions}:{evaluator}",
        **({"costs": f"{functions}:costs"} if counted else {}),
    }
    path = folder / "landscape.yaml"
    path.write_text(json.dumps(document))  # JSON is YAML
    file = load_space_file(path)
    settings = file.search.model_copy(update=search)
    return FunctionProblem(dataclasses.replace(file, search=settings))


def searched(
    problem: FunctionProblem, folder: Path, trials: int, *, capacity: int = 2
) -> list[Trial]:
    """The trials of a deterministic search in this process, in the order of their numbers."""
    folder.mkdir(exist_ok=True)
    session = Session(
        problem,
        RunFolder(folder),
        environment="",
        trials=trials,
        capacity=capacity,
        deterministic=True,
    )
    run_serial(session)
    session.close()
    return sorted(session.folder.trials(), key=lambda trial: trial.number)


def told(trials: list[Trial]) -> list[Trial]:
    """What must be equal in two searches; a retry counts as what it repeats."""
    return [
        dataclasses.replace(
            trial,
            started="",
            finished="",
            environment="",
            origin="sampler" if trial.origin == "retry" else trial.origin,
        )
        for trial in trials
    ]
