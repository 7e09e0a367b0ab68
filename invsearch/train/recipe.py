"""Recipe: how a network is trained, and the optimiser and learning rates that follow from it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

import torch
from torch import nn

from invsearch.errors import InputError, nearest
from invsearch.train.optimizers import OPTIMIZERS, parameter_groups, require_optimizer
from invsearch.train.precision import PRECISIONS, Precision

__all__ = ["OptimizerName", "Recipe"]

OptimizerName = Literal["adamw", "sgd", "lion", "muon"]
OWN_AUGMENTATIONS = (
    *("augment", "crop", "colour", "randaugment", "cutout", "erasing", "mixup", "cutmix"),
)
"""Those that have a field of their own."""


@dataclass(frozen=True)
class Recipe:
    """How a network is trained. The defaults are what trains small RedNets on digits.

    Attributes:
        epochs: Passes over the training set.
        batch_size: Images a step, on all devices together; what is left of an epoch's random order
            is skipped.
        accumulate: Parts in which a device takes its images of a step, one after another: the
            memory of a part, the step of the whole but for batch norm, which sees parts.
        optimizer: ``adamw``, ``sgd`` with Nesterov momentum 0.9, or of the extra ``optimizers``
            ``lion`` or ``muon``.
        lr: Learning rate at the end of the warm-up.
        weight_decay: On weights of convolutions and linear maps.
        norm_decay: On the scales and shifts of norms.
        bias_decay: On biases, and all other vectors.
        decay: Patterns of parameters' names (``*.generator.*``) with the weight decay there; the
            first that matches goes before the three above.
        warmup: Fraction of all steps over which the rate rises linearly; then a cosine to 0.
        warmup_from: Where it begins, as a fraction of ``lr``; 0 for the first of equal rises.
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
        ema: Decay of an average of the weights over the steps, which is then what is evaluated and
            kept; 0 for none. In the first steps it is ``(1 + step) / (10 + step)`` if that is less.
        precision: What the network computes in: ``fp32``, or by autocast ``bf16`` or ``fp16``
            (which scales the loss). Weights and the optimiser stay in float32.
        compile: Whether training runs the network through ``torch.compile``.

    Raises:
        InputError: If a value is out of range.
    """

    epochs: int = 6
    batch_size: int = 64
    accumulate: int = 1
    optimizer: OptimizerName = "adamw"
    lr: float = 5e-3
    weight_decay: float = 0.05
    norm_decay: float = 0.0
    bias_decay: float = 0.0
    decay: Mapping[str, float] = field(default_factory=dict, hash=False)
    warmup: float = 0.1
    warmup_from: float = 0.0
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
    augmentations: Mapping[str, float] = field(default_factory=dict, hash=False)
    ema: float = 0.0
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
            ("accumulate", 1 <= self.accumulate <= self.batch_size, "in [1, batch_size]"),
            ("lr", 0 < self.lr < math.inf, "above 0"),
            ("weight_decay", 0 <= self.weight_decay < math.inf, "at least 0"),
            ("norm_decay", 0 <= self.norm_decay < math.inf, "at least 0"),
            ("bias_decay", 0 <= self.bias_decay < math.inf, "at least 0"),
            ("decay", all(0 <= d < math.inf for d in self.decay.values()), "at least 0"),
            ("warmup", 0 <= self.warmup < 1, "in [0, 1)"),
            ("warmup_from", 0 <= self.warmup_from <= 1, "in [0, 1]"),
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
            ("ema", 0 <= self.ema < 1, "in [0, 1)"),
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
        if step < warm and self.warmup_from:
            risen = self.warmup_from + (1 - self.warmup_from) * step / warm
            return self.lr * risen
        if step < warm:
            return self.lr * (step + 1) / warm
        return self.lr * 0.5 * (1 + math.cos(math.pi * (step - warm) / (total - warm)))

    def make_optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        """Build the optimiser of the model's parameters.

        Raises:
            InputError: If the package that has it is missing.
        """
        return require_optimizer(self.optimizer).make(parameter_groups(model, self), self.lr)
