"""Recipe: how a network is trained, and the optimiser and learning rates that follow from it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args

import torch
from torch import nn

from invsearch.errors import InputError, nearest
from invsearch.train.precision import PRECISIONS, Precision

__all__ = ["OPTIMIZERS", "Recipe"]

OptimizerName = Literal["adamw", "sgd"]
OPTIMIZERS: tuple[str, ...] = get_args(OptimizerName)
OWN_AUGMENTATIONS = (
    *("augment", "crop", "colour", "randaugment", "cutout", "erasing", "mixup", "cutmix"),
)
"""Those that have a field of their own."""


@dataclass(frozen=True)
class Recipe:
    """How a network is trained. The defaults are what trains small RedNets on digits.

    Attributes:
        epochs: Passes over the training set.
        batch_size: Images a step; what is left of an epoch's random order is skipped.
        optimizer: ``adamw``, or ``sgd`` with Nesterov momentum 0.9.
        lr: Learning rate at the end of the warm-up.
        weight_decay: On weights of convolutions and linear maps alone, not on biases and norms.
        warmup: Fraction of all steps over which the rate rises linearly; then a cosine to 0.
        clip: Largest norm of the gradient. Always on: involution networks diverge without it.
        label_smoothing: In [0, 1); of the training loss only.
        augment: Shift by up to an eighth of the side, and flip where a mirrored image keeps
            its class. With ``crop`` only flip.
        cutout: Side of a square of each training image that is set to the mean, as a fraction of
            the image's side; 0 for none.
        crop: Least share of an image's area that a random crop shows, enlarged to the image's
            size; 0 for no crops.
        colour: By how much brightness, contrast and saturation may change, each by a factor
            around 1; 0 for none.
        randaugment: Magnitude of RandAugment's operations, of 30; 0 for none.
        randaugment_operations: How many of them an image gets.
        erasing: Share of the images that lose a random box; 0 for none.
        mixup: Images are mixed by a weight from Beta(mixup, mixup); 0 for none.
        cutmix: A box of each image is another's, whose share is from Beta(cutmix, cutmix); 0 for
            none. With mixup too, each image gets one of the two.
        augmentations: Strengths of further ones, by their names in the table: third parties'.
        precision: What the network computes in: ``fp32``, or by autocast ``bf16`` or ``fp16``
            (which scales the loss). Weights and the optimiser stay in float32.
        compile: Whether training runs the network through ``torch.compile``.

    Raises:
        InputError: If a value is out of range.
    """

    epochs: int = 6
    batch_size: int = 64
    optimizer: OptimizerName = "adamw"
    lr: float = 5e-3
    weight_decay: float = 0.05
    warmup: float = 0.1
    clip: float = 5.0
    label_smoothing: float = 0.0
    augment: bool = False
    cutout: float = 0.0
    crop: float = 0.0
    colour: float = 0.0
    randaugment: float = 0.0
    randaugment_operations: int = 2
    erasing: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    augmentations: Mapping[str, float] = field(default_factory=dict)
    precision: Precision = "fp32"
    compile: bool = False

    def __post_init__(self) -> None:
        for name, known in (("optimizer", OPTIMIZERS), ("precision", PRECISIONS)):
            value = getattr(self, name)
            if value not in known:
                allowed = ", ".join(known)
                raise InputError(f"{name} {value!r} is none of {allowed}{nearest(value, known)}")
        for name, in_range, allowed in (
            ("epochs", self.epochs >= 1, "at least 1"),
            ("batch_size", self.batch_size >= 1, "at least 1"),
            ("lr", 0 < self.lr < math.inf, "above 0"),
            ("weight_decay", 0 <= self.weight_decay < math.inf, "at least 0"),
            ("warmup", 0 <= self.warmup < 1, "in [0, 1)"),
            ("clip", 0 < self.clip < math.inf, "above 0 (clipping is always on)"),
            ("label_smoothing", 0 <= self.label_smoothing < 1, "in [0, 1)"),
            ("cutout", 0 <= self.cutout < 1, "in [0, 1)"),
            ("crop", 0 <= self.crop <= 1, "in [0, 1]"),
            ("colour", 0 <= self.colour <= 1, "in [0, 1]"),
            ("randaugment", 0 <= self.randaugment <= 30, "in [0, 30]"),
            ("randaugment_operations", self.randaugment_operations >= 1, "at least 1"),
            ("erasing", 0 <= self.erasing <= 1, "in [0, 1]"),
            ("mixup", 0 <= self.mixup <= 10, "in [0, 10]"),
            ("cutmix", 0 <= self.cutmix <= 10, "in [0, 10]"),
        ):
            if not in_range:
                raise InputError(f"{name} {getattr(self, name)} is not {allowed}")

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Recipe:
        """Take this recipe's fields from a larger mapping, such as a space's ``accuracy``."""
        return cls(**{f.name: values[f.name] for f in fields(cls) if f.name in values})

    @classmethod
    def completed(cls, values: Any) -> Any:
        """A stored recipe with the defaults of the fields that recipes did not have then."""
        return {**vars(cls()), **values} if isinstance(values, Mapping) else values

    def strengths(self) -> dict[str, float]:
        """The augmentations that are on, rows of :data:`invsearch.plugins.AUGMENTATIONS`."""
        own = {name: float(getattr(self, name)) for name in OWN_AUGMENTATIONS}
        named = {name: float(value) for name, value in self.augmentations.items()}
        return {name: value for name, value in {**own, **named}.items() if value}

    def learning_rate(self, step: int, total: int) -> float:
        """Return the rate of one step.

        Args:
            step: From 0.
            total: Steps of the whole training.
        """
        warm = round(self.warmup * total)
        if step < warm:
            return self.lr * (step + 1) / warm
        return self.lr * 0.5 * (1 + math.cos(math.pi * (step - warm) / (total - warm)))

    def make_optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        """Build the fused optimiser of the model's parameters."""
        parameters = [p for p in model.parameters() if p.requires_grad]
        groups: list[dict[str, Any]] = [
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": self.weight_decay},
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
        ]
        groups = [group for group in groups if group["params"]]
        if self.optimizer == "adamw":
            return torch.optim.AdamW(groups, lr=self.lr, fused=True)
        return torch.optim.SGD(groups, lr=self.lr, momentum=0.9, nesterov=True, fused=True)
