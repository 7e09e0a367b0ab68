"""A problem that learns in epochs, evaluated at once: for resuming and halving."""

from __future__ import annotations

import dataclasses
import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np

from invsearch.evaluation import InstantEvaluation, Progress
from invsearch.metrics import Fidelity, Metric
from invsearch.problem.function import FunctionProblem
from invsearch.runs import RunFolder
from invsearch.search.session import Session
from invsearch.space import load_space_file
from invsearch.space.architecture import Architecture

__all__ = ["Curves", "session"]

EPOCHS = 9  # for rungs at 1 and 3, as halving by 3 has them
OPERATORS = "abcd"
_SPACE = """
name: curves
objectives: {error: minimize, size: minimize}
params:
  p0: {choice: [a, b, c, d]}
  p1: {choice: [a, b, c, d]}
  p2: {choice: [a, b, c, d]}
  p3: {choice: [a, b, c, d]}
evaluator: invsearch.testing.functions:landscape
search: {seed: 1}
"""


class Curves(FunctionProblem):
    """256 networks whose errors fall with the epochs, some sooner than others.

    Args:
        folder: Where the space file is written.
        limit: The largest size allowed.
        search: Settings of the search.
        seed: Of the table.
    """

    def __init__(self, folder: Path, limit: float = 99.0, seed: int = 0, **search: Any) -> None:
        path = folder / "curves.yaml"
        path.write_text(_SPACE + f"constraints: {{size: {{max: {limit}}}}}\n")
        file = load_space_file(path)
        settings = file.search.model_copy(update=search)
        super().__init__(dataclasses.replace(file, search=settings))
        self.epochs = 0
        rng = np.random.default_rng(seed)
        worth = np.sort(rng.normal(size=(4, 4)), axis=1)
        self.table = {
            point: (
                5 + 15 * math.exp(-0.3 * sum(worth[i, j] for i, j in enumerate(point))),
                1.0 + sum((1 + i) * j for i, j in enumerate(point)),
                float(rng.uniform(1.0, 4.0)),
            )
            for point in itertools.product(range(4), repeat=4)
        }

    def __getstate__(self) -> dict[str, Any]:
        return vars(self)

    def known(self, architecture: Architecture) -> dict[str, Metric]:
        return {"size": Metric("size", self.row(architecture)[1], "counted")}

    def evaluation(self, architecture: Architecture, seed: int) -> _Curve:
        error, _, pace = self.row(architecture)
        return _Curve(self, error, pace)

    def row(self, architecture: Architecture) -> tuple[float, float, float]:
        """Final error, size and pace of a network."""
        return self.table[tuple(OPERATORS.index(str(v)) for v in architecture.to_json().values())]


class _Curve(InstantEvaluation):
    def __init__(self, problem: Curves, error: float, pace: float) -> None:
        super().__init__({})
        self._problem, self._end, self._pace, self._epoch = problem, error, pace, 0

    def step(self) -> Progress:
        self._epoch += 1
        self._problem.epochs += 1
        value = self._end + 60.0 * math.exp(-self._epoch / self._pace)
        spent = Fidelity(self._epoch, EPOCHS, resolution=8)
        metric = Metric("error", value, "trained", value - 0.1, value + 0.1, spent)
        return Progress(self._epoch, self._epoch == EPOCHS, {"error": metric})

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "epoch").write_text(str(self._epoch))

    def load(self, folder: Path) -> None:
        path = folder / "epoch"
        self._epoch = int(path.read_text()) if path.exists() else 0


def session(problem: Curves, folder: Path, trials: int, capacity: int = 3) -> Session:
    """A deterministic run in a folder."""
    return Session(
        problem,
        RunFolder(folder),
        environment="",
        trials=trials,
        capacity=capacity,
        deterministic=True,
    )
