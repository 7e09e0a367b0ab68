"""Evaluating a network that was trained and kept."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch.nn.utils import convert_conv2d_weight_memory_format

from invsearch.data import ImageData, load_dataset
from invsearch.errors import InputError
from invsearch.metrics import Fidelity, Metric
from invsearch.takeaway.device import check_device
from invsearch.takeaway.saved import SavedNetwork, costs
from invsearch.train import Recipe, check_learnable, task_of
from invsearch.train.batches import batches_of

__all__ = ["Evaluated", "evaluate"]


@dataclass(frozen=True)
class Evaluated:
    """An evaluated network.

    Attributes:
        metrics: What it costs (counted) and how good it is (trained), with intervals.
        dataset: Whose validation images.
        images: How many of them.
        classes: The classes' names, where they have some.
    """

    metrics: dict[str, Metric]
    dataset: str
    images: int
    classes: tuple[str, ...] = ()

    @property
    def iou(self) -> dict[str, float | None]:
        """Of a segmenter the IoU of each class in percent, None for one that is nowhere."""
        miou = self.metrics.get("miou")
        shares = miou.detail["iou"] if miou else []
        names = self.classes or tuple(map(str, range(len(shares))))
        return dict(zip(names, shares, strict=True)) if miou else {}


def evaluate(folder: str | Path, dataset: str | None = None, device: str = "auto") -> Evaluated:
    """Evaluate the weights that ``invsearch train -o FOLDER`` saved, on a validation set.

    Args:
        folder: Where they are.
        dataset: Another data set than that of the training; its images are brought to the
            network's resolution, and normalised by its own training images.
        device: Where to run.

    Raises:
        InputError: If the folder, the data set or the device cannot be used.
    """
    device = check_device(device, auto=True)
    saved = SavedNetwork.open(folder)
    data = _data(saved, dataset)
    network = saved.network().to(device)
    convert_conv2d_weight_memory_format(network, torch.channels_last)
    batches = batches_of(data, Recipe(), torch.device(device)).judged("val")
    found = task_of(data).judge(network, batches, _fidelity(saved))
    detail = {"validation_set": data.name, "images": len(data.val_labels)}
    found = {
        name: replace(metric, detail={**detail, **metric.detail}) for name, metric in found.items()
    }
    return Evaluated(
        {**costs(saved.spec, data.resolution), **found},
        data.name,
        len(data.val_labels),
        data.classes,
    )


def _data(saved: SavedNetwork, dataset: str | None) -> ImageData:
    training = saved.training
    data = load_dataset(
        dataset or training["dataset"],
        folder=None if dataset else training.get("folder"),
        resolution=training["resolution"],
        data_fraction=1.0 if dataset else training["data_fraction"],
    )
    check_learnable(saved.spec, data)
    for what, mine, theirs in (
        ("classes", saved.spec.num_classes, data.num_classes),
        ("channels", saved.spec.in_channels, data.channels),
    ):
        if mine != theirs:
            raise InputError(
                f"{saved.path} has {mine} {what}, the data set {data.name!r} has {theirs}: it was "
                f"trained on {training['dataset']!r}"
            )
    return data


def _fidelity(saved: SavedNetwork) -> Fidelity | None:
    spent = [metric.fidelity for metric in saved.metrics.values() if metric.fidelity]
    return spent[0] if spent else None
