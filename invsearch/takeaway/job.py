"""Job: one training - which network, on what data, by which recipe, from which seed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from invsearch.data import ImageData, load_dataset
from invsearch.errors import InputError, TrialError
from invsearch.metrics import Metric
from invsearch.models import NetworkSpec, TaskSpec
from invsearch.space import Accuracy
from invsearch.train import Recipe, Trainer, recipe_of, trained_spec, trainer_of
from invsearch.train.checkpoint import read_checkpoint, write_checkpoint
from invsearch.user_code.failure import describe_failure

__all__ = ["Finished", "Job"]

Told = Callable[[str], None]


@dataclass(frozen=True)
class Finished:
    """A finished training.

    Attributes:
        weights: The state dict with batch-norm statistics estimated anew: what was evaluated.
        metrics: Those of the task, ``val_loss`` and others, with intervals and fidelity.
    """

    weights: dict[str, Tensor]
    metrics: dict[str, Metric]


@dataclass(frozen=True)
class Job:
    """One training.

    Attributes:
        searched: The architecture's full-size network, or the segmenter around it.
        accuracy: Data set and recipe; and the proxy, where ``full`` is not set.
        seed: Of the weights, the order and the augmentation.
        resolution: Side of the images in pixels; None for the images' own.
        full: Whether the full-size network is trained rather than the run's proxy of it.
        device: Where to train.
    """

    searched: NetworkSpec | TaskSpec
    accuracy: Accuracy
    seed: int
    resolution: int | None
    full: bool = False
    device: str = "cpu"

    @property
    def width(self) -> float:
        """Width of the trained network as a fraction of the searched one's."""
        return 1.0 if self.full else self.accuracy.proxy.width

    @property
    def recipe(self) -> Recipe:
        return recipe_of(self.accuracy, self.device)

    def data(self) -> ImageData:
        """The data set; the last one is kept in memory."""
        return load_dataset(
            self.accuracy.dataset,
            folder=self.accuracy.folder,
            resolution=self.resolution,
            data_fraction=self.accuracy.data_fraction,
        )

    def spec(self) -> NetworkSpec | TaskSpec:
        """The network that is trained: with the classes and channels of the data."""
        return trained_spec(self.searched, self.accuracy, self.data(), full=self.full)

    def describe(self) -> dict[str, Any]:
        """All that decides the result but the network, as JSON has it."""
        data = {
            "recipe": vars(self.recipe),
            "seed": self.seed,
            "dataset": self.accuracy.dataset,
            "data_fraction": self.accuracy.data_fraction,
            "resolution": self.data().resolution,
            "width": self.width,
        }
        if self.accuracy.folder is not None:
            data["folder"] = self.accuracy.folder
        plain: dict[str, Any] = json.loads(json.dumps(data))
        return plain

    def run(self, checkpoint: Path, tell: Told) -> Finished:
        """Train to the end, from the checkpoint if there is one.

        Args:
            checkpoint: Written after every epoch; the caller removes it when all is kept.
            tell: Takes a line of progress after every epoch.

        Raises:
            InputError: If the checkpoint is of another training.
            TrialError: If training diverges or memory runs out.
        """
        trainer = trainer_of(
            self.searched,
            self.accuracy,
            self.data(),
            self.seed,
            full=self.full,
            device=self.device,
        )
        whose = json.dumps([self.describe(), self.spec().to_json()], sort_keys=True)
        tell(f"seed {self.seed}: {_words(self.describe())}")
        if checkpoint.is_file():
            _resume(trainer, checkpoint, whose)
        try:
            while not trainer.done:
                loss = trainer.train_epoch()
                write_checkpoint({"job": whose, "trainer": trainer.state_dict()}, checkpoint)
                epochs = f"epoch {trainer.epoch} of {trainer.recipe.epochs}"
                tell(f"seed {self.seed}: {epochs}, training loss {loss:.4g}")
            return Finished(trainer.weights(), trainer.evaluate())
        except (MemoryError, RuntimeError, TrialError) as error:
            raise TrialError(f"seed {self.seed}: {describe_failure(error)}") from error


def _words(described: Mapping[str, Any]) -> str:
    """A job on one line."""
    recipe = " ".join(f"{name}={value}" for name, value in described["recipe"].items())
    share = described["data_fraction"]
    part = "" if share == 1 else f"{share:.0%} of "
    where = f"{part}{described['dataset']} at {described['resolution']} px"
    return f"{where}, width {described['width']:g}, {recipe}"


def _resume(trainer: Trainer, checkpoint: Path, whose: str) -> None:
    state = read_checkpoint(checkpoint, trainer.device)
    if state.get("job") != whose:
        raise InputError(
            f"{checkpoint} is of another training: remove it, or choose another folder with -o"
        )
    trainer.load_state_dict(state["trainer"])
