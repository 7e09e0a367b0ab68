"""TensorBoard: a search's trials as event files."""

from __future__ import annotations

from typing import Any

from invsearch.runs.front import hypervolume_trace
from invsearch.runs.trial import Trial
from invsearch.search.callbacks.callback import SearchCallback, SearchPlan, numbers_of

__all__ = ["TensorBoard"]


class TensorBoard(SearchCallback):
    """Writes ``RUN/tensorboard/``; ``tensorboard --logdir RUN`` shows it.

    Steps are the trials' numbers. Beside the metrics: the hypervolume of this sitting's trials, as
    a share of their box so far, and each complete trial's parameters for the HPARAMS page.
    """

    def __init__(self) -> None:
        from tensorboardX import SummaryWriter

        self._make: Any = SummaryWriter
        self._writer: Any = None
        self._trials: list[Trial] = []

    def on_start(self, plan: SearchPlan) -> None:
        self._plan = plan
        self._writer = self._make(str(plan.folder / "tensorboard"))

    def on_trial(self, trial: Trial) -> None:
        self._trials.append(trial)
        for name, value in numbers_of(trial).items():
            self._writer.add_scalar(name, value, trial.number)
        trace = hypervolume_trace(self._trials, self._plan.objectives)
        if trace:
            self._writer.add_scalar("hypervolume", trace[-1][1], trial.number)
        if trial.state == "complete":
            reached = {name: trial.metrics[name].value for name in self._plan.objectives}
            parameters = trial.architecture.to_json()
            self._writer.add_hparams(parameters, reached, name=f"trial-{trial.number}")
        self._writer.flush()

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
