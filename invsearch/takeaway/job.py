"""Job: one training - which network, on what data, by which recipe, from which seed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from invsearch.data import ImageData, load_dataset
from invsearch.errors import TrialError
from invsearch.metrics import Metric
from invsearch.models import NetworkSpec, TaskSpec
from invsearch.space import Accuracy
from invsearch.takeaway.start import Start
from invsearch.train import Recipe, recipe_of, trained_spec, trainer_of
from invsearch.train.callbacks import Callback
from invsearch.train.loop import Loop
from invsearch.train.processes import ALONE, Processes
from invsearch.user_code.failure import describe_failure

__all__ = ["Finished", "Job"]


@dataclass(frozen=True)
class Finished:
    """A finished training.

    Attributes:
        weights: The state dict with batch-norm statistics estimated anew: what was evaluated, and
            averaged where the recipe does so.
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
        start: The weights that it starts from; None for fresh ones.
    """

    searched: NetworkSpec | TaskSpec
    accuracy: Accuracy
    seed: int
    resolution: int | None
    full: bool = False
    device: str = "cpu"
    start: Start | None = None

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
            pixels=self.full,  # photos are many: a quarter of the memory, and the same numbers
            stream=self.accuracy.stream,
            decoder=self.accuracy.decoder,
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
        if self.accuracy.decoder not in ("auto", "pillow"):
            data["decoder"] = self.accuracy.decoder
        if self.start is not None:
            data["from"] = self.start.describe()
        plain: dict[str, Any] = json.loads(json.dumps(data))
        return plain

    def words(self) -> str:
        """All that decides the result but the network, on one line."""
        described = self.describe()
        recipe = " ".join(f"{name}={value}" for name, value in described["recipe"].items())
        share = described["data_fraction"]
        part = "" if share == 1 else f"{share:.0%} of "
        where = f"{part}{described['dataset']} at {described['resolution']} px"
        return f"{where}, width {described['width']:g}, {recipe}"

    def run(
        self,
        checkpoint: Path,
        callbacks: Sequence[Callback] = (),
        *,
        name: str = "",
        judged: bool = False,
        processes: Processes = ALONE,
    ) -> Finished:
        """Train to the end, from the checkpoint if there is one.

        Args:
            checkpoint: Written after every epoch and every minute; the caller removes it when all
                is kept.
            callbacks: Follow the training.
            name: Of what is trained, for the callbacks.
            judged: Whether every epoch is evaluated, for the curves.
            processes: Those that train it together.

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
            prepare=None if self.start is None else self.start.load_into,
            processes=processes,
        )
        config = {**self.describe(), "network": self.spec().to_json()}
        whose = json.dumps(self._whose(), sort_keys=True)
        loop = Loop(trainer, checkpoint, whose, callbacks, judged=judged, same=self._is_it)
        try:
            metrics = loop.run(name, config)
            return Finished(trainer.weights(), metrics)
        except (MemoryError, RuntimeError, TrialError) as error:
            raise TrialError(f"seed {self.seed}: {describe_failure(error)}") from error

    def _whose(self) -> list[Any]:
        return [self.describe(), self.spec().to_json()]

    def _is_it(self, said: str) -> bool:
        """Whether a checkpoint is of this training; one of a version before said less of it."""
        try:
            described, network = json.loads(said)
            completed = {**described, "recipe": Recipe.completed(described["recipe"])}
        except (ValueError, TypeError, KeyError):
            return False
        return bool(json.loads(json.dumps(self._whose())) == [completed, network])
