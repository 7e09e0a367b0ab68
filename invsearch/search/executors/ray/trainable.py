"""What runs on a Ray worker: one evaluation, a step at a time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ray import tune

from invsearch.evaluation import Evaluation, Progress, describe_failure
from invsearch.problem.problem import Problem
from invsearch.runs import describe
from invsearch.search.executors.ray.checkpoints import claim
from invsearch.space.architecture import Architecture

__all__ = ["EvaluationTrainable", "environment_of", "pack", "unpack"]

PAYLOAD = "invsearch_payload"


class EvaluationTrainable(tune.Trainable):
    """Evaluates one proposal; only ``checkpoints/<trial>/`` is written.

    Checkpoints are our own, not Tune's: a trial whose worker died, or whose driver was killed, goes
    on from its last epoch, and nothing is ever unpickled.
    """

    def setup(self, config: dict[str, Any], problem: Problem | None = None) -> None:
        assert problem is not None
        self._problem = problem
        self._start(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._start(new_config)
        return True

    def _start(self, config: dict[str, Any]) -> None:
        import torch

        torch.set_num_threads(config["threads"])
        self._config = config
        self._folder = Path(config["folder"])
        self._identity = {name: config[name] for name in ("architecture", "seed")}
        self._evaluation: Evaluation | None = None
        self._unsaved = False

    def step(self) -> dict[str, Any]:
        try:
            progress = self._advance()
        except Exception as error:  # Tune would retry the user's exceptions too
            return pack(Progress(0, done=True), describe_failure(error))
        return pack(progress, None)

    def _advance(self) -> Progress:
        if self._evaluation is None:
            architecture = Architecture(tuple(map(tuple, self._config["architecture"])))
            self._evaluation = self._problem.evaluation(architecture, self._config["seed"])
            if self._folder.is_dir():
                claim(self._folder, self._identity)
            self._evaluation.load(self._folder)
        if self._unsaved:  # the scheduler has let it go on
            claim(self._folder, self._identity)
            self._evaluation.save(self._folder)
        progress = self._evaluation.step()
        self._unsaved = True
        return progress


def pack(progress: Progress, error: str | None) -> dict[str, Any]:
    """A result for Tune: one JSON text, since Tune flattens and checks what it understands."""
    metrics = {name: metric.to_json() for name, metric in progress.metrics.items()}
    data = {"step": progress.step, "done": progress.done, "metrics": metrics, "error": error}
    if progress.metrics or progress.done:  # what may be its last result says where it ran
        data["environment"] = describe()
    return {PAYLOAD: json.dumps(data), "done": progress.done}


def environment_of(result: dict[str, Any]) -> dict[str, Any]:
    """What the worker said of the environment it ran in; empty where it said nothing."""
    environment: dict[str, Any] = json.loads(result[PAYLOAD]).get("environment", {})
    return environment


def unpack(result: dict[str, Any]) -> tuple[Progress, str | None]:
    """The inverse of :func:`pack`."""
    from invsearch.metrics import Metric

    data = json.loads(result[PAYLOAD])
    metrics = {name: Metric.from_json(name, metric) for name, metric in data["metrics"].items()}
    return Progress(data["step"], data["done"], metrics), data["error"]
