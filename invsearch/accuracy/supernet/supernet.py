"""The supernet of a space: trained once, kept in a folder, and asked about single networks."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from invsearch.accuracy.supernet.elastic import Elastic, NotCoveredError
from invsearch.accuracy.told import described
from invsearch.atomic import write_atomic
from invsearch.errors import InputError, TrialError
from invsearch.metrics import Metric
from invsearch.models import NetworkSpec
from invsearch.train import Recipe, Trainer, read_weights, recipe_of, seeded_build, write_weights
from invsearch.train.callbacks import Callback, EpochRecord, Plan
from invsearch.train.loop import SAVED_EVERY_S, Loop
from invsearch.train.proxy import trained_spec

if TYPE_CHECKING:
    from invsearch.data import ImageData
    from invsearch.provider import Setting
    from invsearch.space import Accuracy
    from invsearch.space.architecture import Architecture

__all__ = ["Supernet"]

_COVER = 1500  # networks drawn: what one in a hundred has is missed once in three million spaces
_NETWORKS = 6  # trainings whose epochs it takes: with its overhead it costs less than ten of them
_SEED = 0  # of the one supernet of a run, whatever the search's: it is kept and shared


class Supernet:
    """The networks of a space in one, trained by single paths, always augmented.

    Args:
        setting: What the space file asks for.
        data: What it is trained on.
        folder: Where its checkpoint and its weights are kept: a kill costs a minute at most, and on
            a CPU changes not a bit of what comes out.
        device: Where to train.

    Raises:
        InputError: If the networks are detectors or segmenters.
    """

    def __init__(
        self, setting: Setting, data: ImageData, folder: Path, device: str = "cpu"
    ) -> None:
        if setting.tasks:
            raise InputError(
                "accuracy.sources: a supernet is one of networks that class images, not of tasks"
            )
        assert setting.accuracy is not None
        self._setting, self._data, self._folder, self._device = setting, data, folder, device

    @property
    def recipe(self) -> Recipe:
        """How it is trained: as the networks are, for longer and always augmented.

        Without augmentation it overfits: on CIFAR-10, trained three times as long, its ranking by
        the loss turned round (tau .58 to -.29).
        """
        own = recipe_of(self._section, self._device)
        epochs = self._section.supernet.epochs or _NETWORKS * own.epochs
        augment = own.augment or not own.strengths()
        return replace(own, epochs=epochs, augment=augment, ema=0.0, compile=False)

    @property
    def trained(self) -> bool:
        """Whether it is."""
        return self._weights.is_file() and bool(self._note().get("complete"))

    @property
    def cpu_seconds(self) -> float:
        """What its training has taken so far."""
        return float(self._note().get("cpu_seconds", 0.0))

    def train(self, *, every_s: float = SAVED_EVERY_S) -> None:
        """Train it, or go on; nothing happens where it is trained.

        Args:
            every_s: Seconds between checkpoints within an epoch.

        Raises:
            InputError: If the folder holds the supernet of another space or recipe.
            TrialError: If the training diverges.
        """
        known = self._note().get("whose")
        if known is not None and known != self._whose:
            raise InputError(
                f"{self._folder} holds the supernet of another space or recipe: remove it, or "
                "choose another folder with --out"
            )
        if self.trained:
            return
        trainer = Trainer(
            self._elastic, self._data, self.recipe, _SEED, self._device, width=self._width
        )
        checkpoint = self._folder / "checkpoint.pt"
        loop = Loop(trainer, checkpoint, self._whose, [_Clock(self._keep_note)], every_s=every_s)
        loop.run("supernet", {})
        write_weights(trainer.weights(), self._weights)
        self._keep_note(0.0, complete=True)
        checkpoint.unlink(missing_ok=True)

    def metrics(self, architecture: Architecture) -> dict[str, Metric]:
        """What it says of a network: its weights taken out, batch statistics estimated anew.

        Returns:
            The metrics of source ``supernet``; none where it cannot tell.
        """
        elastic = self._ready
        try:
            network = elastic.extract(self._spec(architecture))
            trainer = Trainer(
                network, self._data, self.recipe, _SEED, self._device, width=self._width
            )
            found = trainer.evaluate()
        except (NotCoveredError, TrialError):
            return {}
        spent = replace(trainer.fidelity, epochs=self.recipe.epochs)
        return {
            name: replace(metric, source="supernet", fidelity=spent)
            for name, metric in found.items()
        }

    @cached_property
    def _ready(self) -> Elastic:
        if not self.trained:
            raise RuntimeError("the supernet is not trained")
        elastic = self._elastic.to(self._device)
        elastic.load_state_dict(read_weights(self._weights))
        return elastic

    @cached_property
    def _elastic(self) -> Elastic:
        space, rng = self._setting.space, random.Random(_SEED)
        cover = dict.fromkeys(self._spec(space.sample(rng)) for _ in range(_COVER))
        return seeded_build(
            lambda: Elastic(cover, lambda seed: self._spec(space.sample(random.Random(seed)))),
            _SEED,
        )

    def _spec(self, architecture: Architecture) -> NetworkSpec:
        return trained_spec(self._setting.spec(architecture), self._section, self._data)

    @property
    def _section(self) -> Accuracy:
        assert self._setting.accuracy is not None
        return self._setting.accuracy

    @property
    def _width(self) -> float:
        return self._section.proxy.width

    @cached_property
    def _whose(self) -> str:
        """The space and the recipe, in words that a checkpoint keeps."""
        of = {"networks": described(self._setting), "recipe": vars(self.recipe)}
        return json.dumps(of, sort_keys=True)

    @property
    def _weights(self) -> Path:
        return self._folder / "weights.safetensors"

    def _note(self) -> Mapping[str, Any]:
        path = self._folder / "supernet.json"
        try:
            found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        except ValueError as error:
            raise InputError(f"{path}: not JSON ({error}): remove {self._folder}") from None
        return found if isinstance(found, Mapping) else {}

    def _keep_note(self, more: float, *, complete: bool = False) -> None:
        note = {
            "whose": self._whose,
            "epochs": self.recipe.epochs,
            "cpu_seconds": self.cpu_seconds + more,
            "complete": complete,
        }
        self._folder.mkdir(parents=True, exist_ok=True)
        write_atomic(self._folder / "supernet.json", json.dumps(note, indent=1) + "\n")


class _Clock(Callback):
    """Adds up the CPU seconds of the epochs that are kept."""

    def __init__(self, tell: Callable[[float], None]) -> None:
        self._tell = tell
        self._since = 0.0

    def on_start(self, plan: Plan) -> None:
        self._since = time.process_time()
        self._tell(0.0)

    def on_saved(self, record: EpochRecord) -> None:
        now = time.process_time()
        self._tell(now - self._since)
        self._since = now
