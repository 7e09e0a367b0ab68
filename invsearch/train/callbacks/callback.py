"""Callback: what a training tells those who follow it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from invsearch.metrics import Metric

__all__ = ["Callback", "EpochRecord", "Plan"]


@dataclass(frozen=True)
class Plan:
    """A training that begins, or goes on.

    Attributes:
        name: Of what is trained, for people.
        folder: Where the training keeps its files.
        config: The recipe, the data set, the seed and the network, as plain JSON-able data.
        epochs: To train in all.
        steps_per_epoch: Of the optimiser.
        images_per_step: Of all devices together.
        epoch: Epochs trained before.
        step: Steps taken before, of the epoch that is under way.
    """

    name: str
    folder: Path
    config: Mapping[str, Any]
    epochs: int
    steps_per_epoch: int
    images_per_step: int
    epoch: int = 0
    step: int = 0


@dataclass(frozen=True)
class EpochRecord:
    """What an epoch brought.

    Attributes:
        epoch: From 1.
        step: Steps taken so far, over all epochs.
        lr: Learning rate of its last step.
        train_loss: Mean over its steps, in nats.
        metrics: Of the validation set; empty where it was not looked at.
        seconds: Of training, without the evaluation.
        images_per_second: While it was trained, on all devices together.
    """

    epoch: int
    step: int
    lr: float
    train_loss: float
    metrics: Mapping[str, Metric]
    seconds: float
    images_per_second: float

    def numbers(self) -> dict[str, float]:
        """Every number by its name, without the epoch and the step."""
        return {
            "lr": self.lr,
            "train_loss": self.train_loss,
            **{name: metric.value for name, metric in self.metrics.items()},
            "seconds": self.seconds,
            "images_per_second": self.images_per_second,
        }


class Callback:
    """Follows a training; each method does nothing until it is overridden.

    It is called in the process that writes, between steps: what it takes, the training waits for.
    What it raises ends the training, which goes on from its last checkpoint when it is started
    again; epochs after that checkpoint are then told again.
    """

    def on_start(self, plan: Plan) -> None:
        """Called once, before the first step."""

    def on_step(self, epoch: int, step: int) -> None:
        """Called after each step with the epoch, from 1, and the steps taken of it."""

    def on_epoch(self, record: EpochRecord) -> None:
        """Called after each epoch, before its checkpoint is written."""

    def on_saved(self, record: EpochRecord) -> None:
        """Called after each epoch, once no kill loses it."""

    def on_end(self, metrics: Mapping[str, Metric]) -> None:
        """Called once all is trained, with the metrics of the kept network."""

    def close(self) -> None:
        """Called at last, however the training ended."""
