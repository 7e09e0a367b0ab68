"""Weights & Biases: a training as a run of the project that its own settings name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from invsearch.metrics import Metric
from invsearch.train.callbacks.callback import Callback, EpochRecord, Plan

__all__ = ["WeightsAndBiases"]

_RUN = "wandb-run"  # the file that has the run's id, for a training that goes on


class WeightsAndBiases(Callback):
    """Logs the configuration, a point an epoch and the final metrics; goes on in the same run.

    ``WANDB_PROJECT``, ``WANDB_MODE=offline`` and the others are read as for any use of it.
    """

    def __init__(self) -> None:
        import wandb

        self._wandb: Any = wandb
        self._run: Any = None

    def on_start(self, plan: Plan) -> None:
        known = plan.folder / _RUN
        number = known.read_text(encoding="utf-8").strip() if known.is_file() else None
        self._run = self._wandb.init(
            id=number,
            resume="allow",
            name=plan.name,
            config=dict(plan.config),
            dir=str(plan.folder),
        )
        known.write_text(f"{self._run.id}\n", encoding="utf-8")

    def on_epoch(self, record: EpochRecord) -> None:
        self._run.log({"epoch": record.epoch, **record.numbers()}, step=record.step)

    def on_end(self, metrics: Mapping[str, Metric]) -> None:
        self._run.summary.update({f"final_{name}": one.value for name, one in metrics.items()})

    def close(self) -> None:
        if self._run is not None:
            self._run.finish()
