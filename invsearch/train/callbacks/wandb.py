"""Weights & Biases: a training as a run of the project that its own settings name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from invsearch.metrics import Metric
from invsearch.train.callbacks.callback import Callback, EpochRecord, Plan

__all__ = ["WeightsAndBiases", "open_run"]

_RUN = "wandb-run"  # the file that has the run's id, for what goes on


def open_run(wandb: Any, folder: Path, name: str, config: Mapping[str, Any]) -> Any:
    """Go on with the run that a folder names; else begin one, and note it there."""
    known = folder / _RUN
    number = known.read_text(encoding="utf-8").strip() if known.is_file() else None
    run = wandb.init(id=number, resume="allow", name=name, config=dict(config), dir=str(folder))
    known.write_text(f"{run.id}\n", encoding="utf-8")
    return run


class WeightsAndBiases(Callback):
    """Logs the configuration, a point an epoch and the final metrics; goes on in the same run.

    ``WANDB_PROJECT``, ``WANDB_MODE=offline`` and the others are read as for any use of it.
    """

    def __init__(self) -> None:
        import wandb

        self._wandb: Any = wandb
        self._run: Any = None

    def on_start(self, plan: Plan) -> None:
        self._run = open_run(self._wandb, plan.folder, plan.name, plan.config)

    def on_epoch(self, record: EpochRecord) -> None:
        self._run.log({"epoch": record.epoch, **record.numbers()}, step=record.step)

    def on_end(self, metrics: Mapping[str, Metric]) -> None:
        self._run.summary.update({f"final_{name}": one.value for name, one in metrics.items()})

    def close(self) -> None:
        if self._run is not None:
            self._run.finish()
