"""Weights & Biases: a search as a run of the project that its own settings name."""

from __future__ import annotations

from typing import Any

from invsearch.runs.trial import Trial
from invsearch.search.callbacks.callback import SearchCallback, SearchPlan, numbers_of
from invsearch.train.callbacks.wandb import open_run

__all__ = ["WeightsAndBiases"]


class WeightsAndBiases(SearchCallback):
    """Logs a step a trial, with its metrics, parameters and state; goes on in the same run.

    ``WANDB_PROJECT``, ``WANDB_MODE=offline`` and the others are read as for any use of it.
    """

    def __init__(self) -> None:
        import wandb

        self._wandb: Any = wandb
        self._run: Any = None

    def on_start(self, plan: SearchPlan) -> None:
        config = {"objectives": dict(plan.objectives), "trials": plan.trials}
        self._run = open_run(self._wandb, plan.folder, plan.name, config)

    def on_trial(self, trial: Trial) -> None:
        parameters = {f"parameters/{k}": v for k, v in trial.architecture.items()}
        about = {"trial": trial.number, "state": trial.state, "origin": trial.origin}
        self._run.log({**about, **parameters, **numbers_of(trial)})

    def close(self) -> None:
        if self._run is not None:
            self._run.finish()
