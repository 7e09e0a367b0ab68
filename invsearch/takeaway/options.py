"""TrainOptions: what the command line says of a training beside its subject."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from invsearch.data import resolve_dataset
from invsearch.errors import InputError
from invsearch.space import Accuracy
from invsearch.space.overrides import apply_overrides
from invsearch.space.validation import validate
from invsearch.space.yaml_file import parse
from invsearch.train import Recipe
from invsearch.train.presets import preset_of

__all__ = ["TrainOptions"]


@dataclass(frozen=True)
class TrainOptions:
    """What the command line adds to a recipe.

    Attributes:
        seeds: Seeds in all, a trial's own among them; None for 3, or 1 where networks are kept.
        epochs: Epochs; None for the recipe's.
        dataset: Data set; None for the run's.
        resolution: Side of the images in pixels; None for the proxy's, or with ``full`` the
            model's, of a segmenter the images' own, or the preset's.
        settings: ``accuracy.x=y`` each.
        full: Whether the full-size network is trained rather than the run's proxy of it.
        output: Where the networks are kept.
        device: Where to train; None for where the run's space file says.
        preset: Name of a recipe; None for the run's.
        start: A kept folder or a checkpoint whose weights it starts from; None for fresh ones.
    """

    seeds: int | None = None
    epochs: int | None = None
    dataset: str | None = None
    resolution: int | None = None
    settings: tuple[str, ...] = ()
    full: bool = False
    output: Path | None = None
    device: str | None = None
    preset: str | None = None
    start: Path | None = None

    @property
    def as_run(self) -> bool:
        """Whether what is trained is what the run trained, but for the seed."""
        changed = (
            self.epochs, self.dataset, self.resolution, self.settings or None, self.preset,
            self.start,
        )  # fmt: skip
        return not self.full and all(value is None for value in changed)

    def of_run(self) -> list[str]:
        """The options as settings of a run's space file, which validates them.

        Raises:
            InputError: If one is no setting of a training.
        """
        self._check_settings()
        if self.as_run:
            return []
        settings = []
        if self.preset is not None:
            values = self._preset()
            settings += [f"accuracy.{name}={json.dumps(value)}" for name, value in values.items()]
        settings += self.settings
        if self.epochs is not None:
            settings.append(f"accuracy.epochs={self.epochs}")
        if self.dataset is not None:
            settings.append(f"accuracy.dataset={resolve_dataset(self.dataset)}")
            settings.append("accuracy.folder=null")
        return [*settings, "search.rungs=[]"]  # nothing stops here, and rungs bound the epochs

    def accuracy(self, recipe: dict[str, Any]) -> Accuracy:
        """The data set and the recipe of a network that no run stands for.

        Args:
            recipe: What a preset and the options change.

        Raises:
            InputError: If no data set is named, or one of the options is wrong.
        """
        self._check_settings()
        if self.dataset is None:
            raise InputError(
                "name what to train on with --dataset: a folder of images, or a known data set"
            )
        values = {**recipe, **(self._preset() if self.preset is not None else {})}
        values["dataset"] = resolve_dataset(self.dataset)
        document = parse(json.dumps({"accuracy": values}), "the recipe")
        settings = list(self.settings)
        if self.epochs is not None:
            settings.append(f"accuracy.epochs={self.epochs}")
        apply_overrides(document, settings)
        return validate(Accuracy, document, ("accuracy",), document.value["accuracy"])

    def _check_settings(self) -> None:
        for setting in self.settings:
            if not setting.startswith("accuracy."):
                raise InputError(f"--set {setting}: training takes accuracy.NAME=VALUE alone")

    def _preset(self) -> dict[str, Any]:
        """A preset's whole recipe; its rate goes with the batch where SGD has one of its own."""
        assert self.preset is not None
        values = Recipe.completed(dict(preset_of(self.preset).settings))
        del values["precision"]  # the device decides, as for any recipe that does not say
        batch = next((s for s in self.settings if s.startswith("accuracy.batch_size=")), None)
        if batch is not None and values["optimizer"] == "sgd":
            size = batch.partition("=")[2]
            if size.isdigit() and int(size):
                values["lr"] *= int(size) / values["batch_size"]
        return dict(values)
