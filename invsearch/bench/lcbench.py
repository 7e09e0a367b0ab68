"""LCBench as YAHPO Gym's surrogate of it has it (Pfisterer et al. 2022): curves over 52 epochs.

Funnel-shaped perceptrons are trained on tabular tasks; the surrogate, a network in ONNX, gives what
a configuration has reached after each epoch. It stays outside of the project, in
``$INVSEARCH_SHARED/benchmarks/yahpo_lcbench``, and needs onnxruntime.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import json
import os
import random
from collections.abc import Mapping, Sequence
from functools import cache, cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from invsearch.errors import InputError
from invsearch.evaluation import Evaluation, InstantEvaluation, Progress
from invsearch.metrics import Fidelity, Metric
from invsearch.problem.function import FunctionProblem
from invsearch.space import load_space_file
from invsearch.space.architecture import Architecture

__all__ = ["EPOCHS", "LCBench", "Surrogate", "costs", "missing", "share_of"]

Array = NDArray[np.float64]

EPOCHS = 52  # of LCBench's curves (Zimmer, Lindauer and Hutter 2021)
_ORDER = (  # of the surrogate's continuous inputs, behind the epoch
    "batch_size", "learning_rate", "momentum", "weight_decay", "num_layers", "max_units",
    "max_dropout",
)  # fmt: skip
_ACCURACY = 1  # of its outputs: the validation accuracy in percent
_FEATURES, _CLASSES = 30, 10  # of a typical task of the 34: what a network's ends are counted with
_FILE = Path("benchmarks") / "yahpo_lcbench"
_SPACE = """
name: lcbench
objectives: {error: minimize, weights: minimize}
params:
  batch_size: {range: [16, 512], log: true}
  learning_rate: {range: [1e-4, 1e-1], log: true}
  momentum: {range: [0.1, 0.99]}
  weight_decay: {range: [1e-5, 0.1]}
  num_layers: {range: [1, 5], step: 1}
  max_units: {range: [64, 1024], log: true}
  max_dropout: {range: [0.0, 1.0]}
evaluator: invsearch.bench.lcbench:costs
costs: invsearch.bench.lcbench:costs
"""


def missing() -> str:
    """Why it cannot be used here; empty where it can."""
    shared = os.environ.get("INVSEARCH_SHARED")
    if not shared or not (Path(shared) / _FILE / "model.onnx").is_file():
        return f"$INVSEARCH_SHARED/{_FILE} is not here"
    if importlib.util.find_spec("onnxruntime") is None:
        return "onnxruntime is not installed (the extra 'onnx')"
    return ""


def costs(values: Mapping[str, Any]) -> dict[str, float]:
    """Weights of the funnel: from the most units down to the classes, in equal steps."""
    layers, most = int(values["num_layers"]), round(values["max_units"])
    steps = [most + (_CLASSES - most) * layer / layers for layer in range(layers + 1)]
    widths = [_FEATURES, *steps]
    return {"weights": float(sum(a * b for a, b in pairwise(widths)))}


class Surrogate:
    """The curves of one task.

    Args:
        task: Its number in OpenML.

    Raises:
        InputError: If the surrogate is not here.
    """

    def __init__(self, task: str) -> None:
        if reason := missing():
            raise InputError(reason)
        onnxruntime: Any = importlib.import_module("onnxruntime")
        folder = Path(os.environ["INVSEARCH_SHARED"]) / _FILE
        codes = json.loads((folder / "encoding.json").read_text())["OpenML_task_id"]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(str(folder / "model.onnx"), options)
        self._code = codes[task]

    def errors(self, points: Sequence[Mapping[str, Any]], first: int = 1) -> Array:
        """Validation errors in percent, (points, epochs), from an epoch to the last."""
        rows = np.array([[_value(point, name) for name in _ORDER] for point in points])
        epochs = np.tile(np.arange(first, EPOCHS + 1), len(rows))[:, None]
        inputs = np.concatenate([epochs, np.repeat(rows, EPOCHS + 1 - first, axis=0)], axis=1)
        codes = np.full((len(inputs), 1), self._code, np.int32)
        (found,) = self._session.run(None, {"x_cat": codes, "x_cont": inputs.astype(np.float32)})
        accuracy = np.asarray(found, np.float64)[:, _ACCURACY].reshape(len(rows), -1)
        return 100 - np.clip(accuracy, 0, 100)


def _value(point: Mapping[str, Any], name: str) -> float:
    """A setting; whole numbers on a logarithmic range are searched as any number on it."""
    return float(round(point[name]) if name in ("batch_size", "max_units") else point[name])


_surrogate = cache(Surrogate)


class LCBench(FunctionProblem):
    """A search of one task that counts the epochs it spends.

    Args:
        folder: Where the space file is written.
        task: Its number in OpenML.
        **search: Settings of the search.

    Attributes:
        epochs: Epochs trained so far.
        reached: For each training that was complete: epochs so far, error and weights.
    """

    def __init__(self, folder: Path, task: str, **search: Any) -> None:
        path = folder / "lcbench.yaml"
        path.write_text(_SPACE)
        file = load_space_file(path)
        settings = file.search.model_copy(update=search)
        super().__init__(dataclasses.replace(file, search=settings))
        self._task = task
        self.epochs = 0
        self.reached: list[tuple[int, float, float]] = []

    @cached_property
    def surrogate(self) -> Surrogate:
        """The task's curves."""
        return _surrogate(self._task)

    def evaluation(self, architecture: Architecture, seed: int) -> Evaluation:
        return _Training(self, architecture)

    def yardstick(self) -> tuple[tuple[float, float], float]:
        """A reference point, and the hypervolume of 2,000 random configurations.

        The reference is the error that a tenth of them exceeds, and the most weights; weights are
        by their logarithm.
        """
        if self._task not in _YARDSTICKS:
            rng = random.Random(int(self._task))
            points = [self.space.sample(rng).to_json() for _ in range(2000)]
            errors = self.surrogate.errors(points, EPOCHS)[:, 0]
            weights = np.log([costs(point)["weights"] for point in points])
            reference = (float(np.percentile(errors, 90)), float(weights.max()))
            found = share_of(np.stack([errors, weights], 1), reference)
            _YARDSTICKS[self._task] = reference, found
        return _YARDSTICKS[self._task]


class _Training(InstantEvaluation):
    """52 epochs, one a step."""

    def __init__(self, problem: LCBench, architecture: Architecture) -> None:
        super().__init__({})
        self._problem, self._epoch = problem, 0
        values = architecture.to_json()
        self._errors = problem.surrogate.errors([values])[0]
        self._weights = costs(values)["weights"]

    def step(self) -> Progress:
        self._epoch += 1
        self._problem.epochs += 1
        spent = Fidelity(self._epoch, EPOCHS, resolution=0)
        error = float(self._errors[self._epoch - 1])
        if self._epoch == EPOCHS:
            self._problem.reached.append((self._problem.epochs, error, self._weights))
        metric = Metric("error", error, "trained", fidelity=spent)
        return Progress(self._epoch, self._epoch == EPOCHS, {"error": metric})

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "epoch").write_text(str(self._epoch))

    def load(self, folder: Path) -> None:
        path = folder / "epoch"
        self._epoch = int(path.read_text()) if path.exists() else 0


_YARDSTICKS: dict[str, tuple[tuple[float, float], float]] = {}


def share_of(points: Array, reference: tuple[float, float]) -> float:
    """The hypervolume of points (n, 2) up to a reference, both minimised."""
    from invsearch.runs import hypervolume

    inside = points[(points < reference).all(axis=1)]
    return hypervolume(inside, reference) if len(inside) else 0.0
