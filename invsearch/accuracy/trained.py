"""Accuracy of a proxy of the network, trained on this machine."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from invsearch.cost.verify import verify_operators
from invsearch.evaluation import WEIGHTS, Evaluation, Progress
from invsearch.metrics import Metric, Source
from invsearch.provider import Provider, Setting, When

if TYPE_CHECKING:
    from invsearch.data import ImageData
    from invsearch.space import Accuracy
    from invsearch.space.architecture import Architecture
    from invsearch.train import Trainer

__all__ = ["Trained", "TrainedEvaluation"]

CHECKPOINT = "checkpoint.pt"


class Trained(Provider):
    """How good the network is at the proxy's width and resolution, by the metrics of its task."""

    metrics: ClassVar[tuple[str, ...]] = ("val_loss", "error", "top1", "miou", "pixel_accuracy")
    source: ClassVar[Source] = "trained"
    when: ClassVar[When] = "after"
    works: ClassVar[bool] = True

    @property
    def names(self) -> tuple[str, ...]:
        from invsearch.train.tasks import CLASSIFICATION, SEGMENTATION

        return (SEGMENTATION if self.setting.tasks else CLASSIFICATION).metrics

    @classmethod
    def serves(cls, setting: Setting) -> bool:
        accuracy = setting.accuracy
        wanted = accuracy is not None and accuracy.source == "trained"
        return wanted and setting.wants("accuracy")

    def check(self) -> None:
        """Load the data, and check other people's operators at the proxy's widths.

        Raises:
            InputError: If data are missing, damaged or for another task, an augmentation does not
                go with them, the device or the optimiser's package is not here, or an operator is
                not what it says.
        """
        from invsearch.train import check_learnable, recipe_of, resolve_device
        from invsearch.train.augment import augmentation_of
        from invsearch.train.optimizers import require_optimizer
        from invsearch.train.proxy import trained_spec

        device = resolve_device(self._section.device)
        require_optimizer(self._section.optimizer)
        sampled = self.setting.sampled_specs()
        for spec in sampled:
            check_learnable(spec)  # before an hour of decoding
        verify_operators([trained_spec(spec, self._section, self._data) for spec in sampled])
        augmentation_of(recipe_of(self._section, device), self._data)

    def evaluation(self, architecture: Architecture, seed: int) -> Evaluation:
        return TrainedEvaluation(
            lambda: self._trainer(architecture, seed), self.setting.rungs, WEIGHTS.format(seed=seed)
        )

    def test(self, architecture: Architecture, weights: Path) -> dict[str, Metric]:
        from invsearch.train import read_weights

        trainer = self._trainer(architecture, 0)
        return trainer.test(read_weights(weights))

    @property
    def _section(self) -> Accuracy:
        assert self.setting.accuracy is not None
        return self.setting.accuracy

    @cached_property
    def _data(self) -> ImageData:
        from invsearch.data import load_dataset

        section = self._section
        return load_dataset(
            section.dataset,
            folder=section.folder,
            resolution=section.proxy.resolution,
            data_fraction=section.data_fraction,
            pixels=self._device(0) != "cpu",  # a quarter of a GPU's memory, and of the way there
            stream=section.stream,
            decoder=section.decoder,
        )

    def _trainer(self, architecture: Architecture, seed: int) -> Trainer:
        from invsearch.train.proxy import trainer_of

        spec, device = self.setting.searched(architecture), self._device(seed)
        return trainer_of(spec, self._section, self._data, seed, device=device)

    def _device(self, seed: int) -> str:
        """Where this worker trains; seeds take a machine's unassigned GPUs in turns."""
        from invsearch.train import resolve_device

        return resolve_device(self._section.device, turn=seed)


class TrainedEvaluation:
    """Training, an epoch a step, with metrics at the rungs and at the end.

    Args:
        make: Builds the trainer, so that nothing heavy happens before the first step.
        rungs: Epochs after which metrics are taken besides the last.
        weights: Name of the file that the trained weights are left in, in the folder that
            :meth:`load` was given.
    """

    def __init__(
        self, make: Callable[[], Trainer], rungs: frozenset[int], weights: str = ""
    ) -> None:
        self._make = make
        self._rungs = rungs
        self._weights = weights
        self._trainer: Trainer | None = None
        self._folder: Path | None = None

    def step(self) -> Progress:
        from invsearch.train import write_weights

        trainer = self._ready()
        if not trainer.done:  # a kill can fall between the last epoch and its metrics
            trainer.train_epoch()
        measured = trainer.done or trainer.epoch in self._rungs
        metrics = trainer.evaluate() if measured else {}
        if trainer.done and self._folder is not None and self._weights:
            write_weights(trainer.weights(), self._folder / self._weights)
        return Progress(trainer.epoch, trainer.done, metrics)

    def save(self, folder: Path) -> None:
        self._ready().save(folder / CHECKPOINT)

    def load(self, folder: Path) -> None:
        self._folder = folder

    def _ready(self) -> Trainer:
        if self._trainer is None:
            self._trainer = self._make()
            if self._folder is not None and (self._folder / CHECKPOINT).is_file():
                self._trainer.load(self._folder / CHECKPOINT)
        return self._trainer
