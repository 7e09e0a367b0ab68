"""What the CIFAR-10 study trains: its networks, its recipe, and the order of the trainings."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from typing import Any

from invsearch import models
from invsearch.models import NetworkSpec
from invsearch.train.precision import Precision
from invsearch.train.recipe import OptimizerName, Recipe

__all__ = ["FAMILIES", "SIDE", "StudySetting", "Training", "ordered"]

SIDE = 32
"""Of CIFAR-10's images, in pixels."""

FAMILIES = {"rednet": "RedNet", "resnet": "ResNet"}
"""The families that are compared, and their names."""

_CLASSES = 10  # of CIFAR-10
_VALIDATED_EVERY = 5  # epochs: for watching alone, a second each


@dataclass(frozen=True)
class Training:
    """One network trained from one seed."""

    family: str
    depth: int
    seed: int

    @property
    def network(self) -> str:
        """Such as ``RedNet-26``."""
        return f"{FAMILIES[self.family]}-{self.depth}"

    @property
    def name(self) -> str:
        """Such as ``RedNet-26, seed 0``."""
        return f"{self.network}, seed {self.seed}"


@dataclass(frozen=True)
class StudySetting:
    """How every network of a study is built and trained.

    Attributes:
        device: Where.
        epochs: Of each training.
        batch_size: Images a step.
        optimizer: ``sgd`` or ``adamw``.
        lr: Highest learning rate.
        weight_decay: Of weights of convolutions and linear maps.
        warmup: Share of the steps.
        label_smoothing: Of the training loss.
        cutout: Side of the square cut out of each training image, as a share of the image's.
        precision: What networks compute in.
        stem_stride: Of the stem's first convolution: 2 puts stage 1 at 16 x 16 pixels, 1 at 32.
        pool: Whether the stem keeps its max pool of stride 2.
        deep_stem: Whether ResNets have three 3x3 convolutions in place of the 7x7.
        width: Multiplier of every width.
        graphs: Whether steps are replayed as CUDA graphs.
        compile: Whether networks are compiled.
        backend: Of every involution; None for the first that can run.
    """

    device: str = "cuda"
    epochs: int = 30
    batch_size: int = 512
    optimizer: OptimizerName = "sgd"
    lr: float = 0.2
    weight_decay: float = 5e-4
    warmup: float = 0.15
    label_smoothing: float = 0.1
    cutout: float = 0.25
    precision: Precision = "bf16"
    stem_stride: int = 2
    pool: bool = False
    deep_stem: bool = False
    width: float = 1.0
    graphs: bool = False
    compile: bool = False
    backend: str | None = None

    @classmethod
    def of(cls, values: dict[str, Any]) -> StudySetting:
        """From a larger mapping, such as parsed options."""
        return cls(**{f.name: values[f.name] for f in fields(cls) if f.name in values})

    def as_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)

    def recipe(self) -> Recipe:
        """How each network is trained."""
        return Recipe.from_mapping({**self.as_dict(), "augment": True, "clip": 5.0})

    def spec(self, training: Training) -> NetworkSpec:
        """The network, for small images."""
        if training.family == "rednet":
            spec = models.rednet_spec(training.depth)
        else:
            spec = models.resnet_spec(training.depth, deep_stem=self.deep_stem)
        return models.proxy_spec(
            spec,
            width=self.width,
            stem_stride=self.stem_stride,
            pool=self.pool,
            num_classes=_CLASSES,
            in_channels=3,
        )

    def validates(self, epoch: int) -> bool:
        """Whether the validation set is looked at after this epoch, from 1."""
        return epoch % _VALIDATED_EVERY == 0 or epoch == self.epochs


def ordered(families: Iterable[str], depths: Iterable[int], seeds: int) -> list[Training]:
    """Every training: whole comparisons first, so a study that is cut short can still be read.

    A seed of all networks comes before the next; in a seed the deepest, which take longest, first,
    the families of a depth side by side.
    """
    kinds, deepest = list(families), sorted(depths, reverse=True)
    return [
        Training(family, depth, seed)
        for seed in range(seeds)
        for depth in deepest
        for family in kinds
    ]
