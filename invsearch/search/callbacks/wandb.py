"""Weights & Biases: a search as a run of the project that its own settings name."""

from __future__ import annotations

from typing import Any

from invsearch.runs.trial import Trial
from invsearch.search.callbacks.callback import SearchCallback, SearchPlan, numbers_of

__all__ = ["WeightsAndBiases"]

_RUN = "wandb-run"  # the file that has the run's id, for a search that goes on


class WeightsAndBiases(SearchCallback):
    """Logs a step a trial, with its metrics, parameters and state; goes on in the same run.

    ``WANDB_PROJECT``, ``WANDB_MODE=offline`` and the others are read as for any use of it.
    """

    def __init__(self) -> None:
        import wandb

        self._wandb: Any = wandb
        self._run: Any = None

    def on_start(self, plan: SearchPlan) -> None:
        known = plan.folder / _RUN
        number = known.read_text(encoding="utf-8").strip() if known.is_file() else None
        self._run = self._wandb.init(
            id=number,
            resume="allow",
            name=plan.name,
            config={"objectives": dict(plan.objectives), "trials": plan.trials},
            dir=str(plan.folder),
        )
        known.write_text(f"{self._run.id}\n", encoding="utf-8")

    def on_trial(self, trial: Trial) -> None:
        parameters = {f"parameters/{k}": v for k, v in trial.architecture.items()}
        about = {"trial": trial.number, "state": trial.state, "origin": trial.origin}
        self._run.log({**about, **parameters, **numbers_of(trial)})

    def close(self) -> None:
        if self._run is not None:
            self._run.finish()
