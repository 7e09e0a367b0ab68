"""Recipes that have a name, and the size of the images that they are for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from invsearch.errors import InputError, nearest

__all__ = ["PRESETS", "Preset", "preset_of"]


@dataclass(frozen=True)
class Preset:
    """A row of the table.

    Attributes:
        settings: Of a recipe, by name; what is not given is the default.
        resolution: Side of the images in pixels; None for the images' own.
        words: What it is, in one line.
    """

    settings: Mapping[str, Any]
    resolution: int | None
    words: str


PRESETS: Mapping[str, Preset] = {
    "paper": Preset(
        {
            "epochs": 130,
            "batch_size": 256,
            "optimizer": "sgd",
            "lr": 0.1,  # 0.8 at a batch of 2048, scaled linearly
            "weight_decay": 1e-4,
            "norm_decay": 1e-4,  # the released recipe decays every parameter
            "bias_decay": 1e-4,
            "warmup": 5 / 130,
            "warmup_from": 0.25,
            "clip": 40.0,  # the mildest of those that keep involution networks from diverging
            "label_smoothing": 0.1,
            "augment": True,  # mirror images alone, as there are crops
            "crop": 0.08,
        },
        224,
        "the paper's on ImageNet: SGD, 130 epochs, cosine, label smoothing, random crops",
    ),
    "cifar": Preset(
        {  # that of this project's study of CIFAR-10, at half of its batch
            "epochs": 30,
            "batch_size": 256,
            "optimizer": "sgd",
            "lr": 0.1,
            "weight_decay": 5e-4,
            "warmup": 0.15,
            "label_smoothing": 0.1,
            "augment": True,
            "cutout": 0.25,
        },
        32,
        "for small photos: SGD, 30 epochs, shifts, mirror images, cutout",
    ),
    "proxy": Preset(
        {}, None, "what a search trains with unless its file says else: AdamW, 6 epochs"
    ),
}


def preset_of(name: str) -> Preset:
    """The row of this name.

    Raises:
        InputError: If there is none.
    """
    if name not in PRESETS:
        known = ", ".join(PRESETS)
        raise InputError(f"--preset {name!r} is none of {known}{nearest(name, PRESETS)}")
    return PRESETS[name]
