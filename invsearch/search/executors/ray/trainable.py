"""What runs on a Ray worker: one evaluation, a step at a time."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Generator
from typing import Any

import ray
from ray import tune

from invsearch.errors import DiskError
from invsearch.evaluation import Attentive, Evaluation, Outcome, Progress, timed_step
from invsearch.problem.problem import Problem
from invsearch.runs import describe
from invsearch.search.executors.apart import Apart
from invsearch.search.executors.evaluate import Task
from invsearch.search.executors.plain import plain_progress, progress_from
from invsearch.search.executors.ray.checkpoints import claim
from invsearch.search.limits import Limit
from invsearch.user_code.failure import UserCodeError
from invsearch.user_code.guard import Guard

__all__ = ["EvaluationTrainable", "environment_of", "pack", "unpack"]

PAYLOAD = "invsearch_payload"

Steps = Generator[Progress, bool, Outcome]


class EvaluationTrainable(tune.Trainable):
    """Evaluates one proposal; only ``checkpoints/<trial>/`` is written.

    Checkpoints are our own, not Tune's: a trial whose worker died, or whose driver was killed, goes
    on from its last epoch, and nothing is ever unpickled. What has to be ended when its time is up,
    or reports from within a step, is evaluated in a process of its own beside the worker.
    """

    def setup(self, config: dict[str, Any], problem: Problem | None = None) -> None:
        assert problem is not None
        self._problem = problem
        self._apart = Apart(problem, config["threads"])
        self._steps: Steps | None = None
        self._start(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._stop()
        self._start(new_config)
        return True

    def cleanup(self) -> None:
        self._stop()
        self._apart.close()

    def _start(self, config: dict[str, Any]) -> None:
        import torch

        torch.set_num_threads(config["threads"])
        task, trial_s = Task.from_json(config["task"]), config["trial_s"]
        apart = trial_s is not None or config["reports"]
        self._steps = self._evaluated(task, Limit(trial_s) if apart else None)
        self._waiting = False

    def _stop(self) -> None:
        """End an evaluation that was stopped at a rung.

        Where the disk takes no checkpoint it would go on, if it does, from the one before.
        """
        steps, self._steps = self._steps, None
        if steps is not None and self._waiting:
            with contextlib.suppress(StopIteration, DiskError):
                steps.send(True)

    def step(self) -> dict[str, Any]:
        assert self._steps is not None
        try:
            progress = self._steps.send(False) if self._waiting else next(self._steps)
        except StopIteration as end:
            self._waiting = False
            outcome: Outcome = end.value
            return pack(Progress(0, True, outcome.metrics, outcome.stopped), outcome)
        except DiskError as error:  # of this node: Tune would try again, and blame the memory
            self._waiting = False
            return pack(Progress(0, True, {}), Outcome(), lost=f"node {_node()}: {error}")
        self._waiting = True
        return pack(progress, Outcome())

    def _evaluated(self, task: Task, apart: Limit | None) -> Steps:
        if task.folder.is_dir():
            claim(task.folder, _identity(task))
        steps = self._here(task) if apart is None else self._apart.steps(task, apart)
        return (yield from steps)

    def _here(self, task: Task) -> Steps:
        """The steps of an evaluation in this process."""
        guard, told = Guard(), list[Progress]()
        try:
            evaluation = guard.call(lambda: _begun(self._problem, task, told))
            progress = guard.call(lambda: timed_step(evaluation))
            while not progress.done:
                if (yield progress):
                    if task.promotes:
                        claim(task.folder, _identity(task))
                        guard.call(lambda: evaluation.save(task.folder))
                    return Outcome(progress.metrics, stopped=True)
                claim(task.folder, _identity(task))
                guard.call(lambda: evaluation.save(task.folder))
                progress = guard.call(lambda: timed_step(evaluation))
        except UserCodeError as error:  # Tune would retry the user's exceptions too
            return Outcome(error=str(error), traceback=error.traceback, untold=tuple(told))
        return Outcome(progress.metrics, untold=(*told, progress))


def _identity(task: Task) -> dict[str, Any]:
    """What a trial is, whose checkpoints are in a folder."""
    return {"architecture": [list(item) for item in task.architecture.items()], "seed": task.seed}


def _begun(problem: Problem, task: Task, told: list[Progress]) -> Evaluation:
    """The evaluation; what it reports from within a step is put down, and stops nothing."""

    def put_down(reached: Progress) -> bool:
        told.append(reached)
        return False

    evaluation = problem.evaluation(task.architecture, task.seed)
    if isinstance(evaluation, Attentive):
        evaluation.attend(task.number, task.folder, put_down)
    evaluation.load(task.folder)
    return evaluation


def _node() -> str:
    return str(ray.util.get_node_ip_address())


def pack(progress: Progress, outcome: Outcome, lost: str = "") -> dict[str, Any]:
    """A result for Tune: one JSON text, since Tune flattens and checks what it understands.

    Args:
        progress: How far the evaluation is.
        outcome: How it ended.
        lost: Why the node's disk took no checkpoint: then nothing is known of the trial.
    """
    data = plain_progress(progress)
    data |= {"error": outcome.error, "traceback": outcome.traceback, "lost": lost}
    data["untold"] = [plain_progress(reached) for reached in outcome.untold]
    if progress.metrics or progress.done:  # what may be its last result says where it ran
        data["environment"] = describe()
    return {PAYLOAD: json.dumps(data), "done": progress.done}


def environment_of(result: dict[str, Any]) -> dict[str, Any]:
    """What the worker said of the environment it ran in; empty where it said nothing."""
    environment: dict[str, Any] = json.loads(result[PAYLOAD]).get("environment", {})
    return environment


def unpack(result: dict[str, Any]) -> tuple[Progress, Outcome]:
    """The inverse of :func:`pack`.

    Raises:
        DiskError: If the evaluation was lost for a node's disk.
    """
    data = json.loads(result[PAYLOAD])
    if data["lost"]:
        raise DiskError(data["lost"])
    progress = progress_from(data)
    untold = tuple(progress_from(each) for each in data["untold"])
    return progress, Outcome(
        progress.metrics, progress.stopped, data["error"], data["traceback"], untold=untold
    )
