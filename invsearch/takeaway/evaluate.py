"""Evaluating a network that was trained: one of ours, or a released checkpoint."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import convert_conv2d_weight_memory_format

from invsearch.data import ImageData, Scale, load_dataset
from invsearch.data.decoders import decoder_at_hand
from invsearch.errors import InputError
from invsearch.metrics import Fidelity, Metric
from invsearch.models import NetworkSpec, TaskSpec, from_official
from invsearch.models.checkpoint import read_checkpoint
from invsearch.models.official import is_official
from invsearch.takeaway.device import check_device
from invsearch.takeaway.saved import CONFIG, WEIGHTS, SavedNetwork, costs
from invsearch.takeaway.start import Start
from invsearch.takeaway.subject import subject_of
from invsearch.train import check_learnable, task_of
from invsearch.train.class_report import ClassReport, class_report

__all__ = ["Evaluated", "evaluate"]

_CHECKPOINTS = (".pth", ".pt", ".ckpt", ".safetensors", ".bin")  # what others name them
_SPLITS = ("val", "test")
_AT_ONCE = 256  # images: as many as fit beside a large network
_RELEASED_RESOLUTION = 224  # of the released networks' training

_IMAGENET = Scale(
    torch.tensor([123.675, 116.28, 103.53]).view(1, 3, 1, 1),
    torch.tensor([58.395, 57.12, 57.375]).view(1, 3, 1, 1),
)
"""What the released networks were trained on images normalised by, as their code says."""


@dataclass(frozen=True)
class Evaluated:
    """An evaluated network.

    Attributes:
        metrics: What it costs (counted) and how good it is (trained), with intervals.
        dataset: Whose images.
        images: How many of them.
        split: ``val`` or ``test``.
        report: Top-5, what is confused with what, and calibration; None of a segmenter.
        classes: The classes' names, where they have some.
    """

    metrics: dict[str, Metric]
    dataset: str
    images: int
    split: str
    report: ClassReport | None
    classes: tuple[str, ...] = ()

    @property
    def iou(self) -> dict[str, float | None]:
        """Of a segmenter the IoU of each class in percent, None for one that is nowhere."""
        miou = self.metrics.get("miou")
        shares = miou.detail["iou"] if miou else []
        names = self.classes or tuple(map(str, range(len(shares))))
        return dict(zip(names, shares, strict=True)) if miou else {}

    def to_json(self) -> dict[str, Any]:
        """Everything as plain data; rows and columns of ``confusion`` are in the classes' order."""
        return {
            "dataset": self.dataset,
            "split": self.split,
            "images": self.images,
            "classes": list(self.classes),
            "metrics": {name: metric.to_json() for name, metric in self.metrics.items()},
            **(self.report.to_json() if self.report else {"iou": self.iou}),
        }


@dataclass(frozen=True)
class _Trained:
    """A network with its weights, and what images it takes.

    Attributes:
        where: For messages.
        network: In evaluation mode.
        spec: What it is.
        resolution: Side of its images.
        dataset: What it was trained on; None where nobody said.
        folder: Where that data set is.
        decoder: What its images were decoded by.
        data_fraction: How much of it was trained on, which decides its normalisation.
        scale: What its images are normalised by; None for the data set's own statistics.
        fidelity: What was spent on it.
    """

    where: str
    network: nn.Module
    spec: NetworkSpec | TaskSpec
    resolution: int
    dataset: str | None = None
    folder: str | None = None
    decoder: str = "auto"
    data_fraction: float = 1.0
    scale: Scale | None = None
    fidelity: Fidelity | None = None


def evaluate(
    subject: str | Path,
    dataset: str | None = None,
    device: str = "auto",
    *,
    weights: str | Path | None = None,
    resolution: int | None = None,
    split: str = "val",
) -> Evaluated:
    """Evaluate a trained network on a validation or test set.

    Args:
        subject: What ``invsearch train -o FOLDER`` wrote, a released checkpoint, or a network by
            name with ``weights``.
        dataset: A data set; None for that of the training. A kept network's images are normalised
            by the data set's own training images, a released one's as ImageNet's.
        device: Where to run.
        weights: A checkpoint or kept folder, for a network by name.
        resolution: Side of the images in pixels; None for the network's.
        split: ``val`` or ``test``.

    Raises:
        InputError: If the network, the data set or the device cannot be used.
    """
    device = check_device(device, auto=True)
    if split not in _SPLITS:
        raise InputError(f"--split {split!r} is none of {', '.join(_SPLITS)}")
    trained = _trained(str(subject), weights)
    data = _data(trained, dataset, resolution)
    network = trained.network.eval().to(device)
    convert_conv2d_weight_memory_format(network, torch.channels_last)
    judged = _judged(network, _batches(data, split, device), data, trained)
    which = "validation_set" if split == "val" else "test_set"
    images = len(data.val_labels if split == "val" else data.test_labels)
    detail = {which: data.name, "images": images}
    found = {
        name: replace(metric, detail={**detail, **metric.detail})
        for name, metric in judged.metrics.items()
    }
    metrics = {**costs(trained.spec, data.resolution), **found}
    return Evaluated(metrics, data.name, images, split, judged.report, data.classes)


@dataclass(frozen=True)
class _Judged:
    """What was found on the images; the report of a classifier alone."""

    metrics: dict[str, Metric]
    report: ClassReport | None = None


@torch.no_grad()
def _judged(
    network: nn.Module,
    batches: Iterator[tuple[Tensor, Tensor]],
    data: ImageData,
    trained: _Trained,
) -> _Judged:
    if data.dense:  # maps of logits are not kept: a set of them is larger than its images
        return _Judged(task_of(data).judge(network, batches, trained.fidelity))
    said = [(network(some).cpu(), truth.cpu()) for some, truth in batches]
    metrics = task_of(data).judge(nn.Identity(), said, trained.fidelity)
    return _Judged(metrics, class_report(nn.Identity(), said, data.num_classes))


def _trained(subject: str, weights: str | Path | None) -> _Trained:
    path = Path(subject)
    if path.name == WEIGHTS and (path.parent / CONFIG).is_file():
        path, subject = path.parent, str(path.parent)
    if weights is None and path.suffix in _CHECKPOINTS and path.is_file():
        return _released(path)
    found = subject_of(subject)
    if weights is not None:
        start = Start(Path(weights), _refuse_other_head)
        spec = start.fitting(found.classifier())
        fresh = replace(found, spec=spec).fresh()
        start.load_into(fresh)
        scale = _IMAGENET if start.official else None
        return _Trained(f"{weights}", fresh, spec, found.resolution, scale=scale)
    if found.saved is None:
        raise InputError(
            f"{subject} is a network without weights: give them with --weights, or evaluate a "
            "folder that `invsearch train -o` wrote"
        )
    if not found.saved.training:
        raise InputError(f"{subject} is a network that is not trained: give --weights")
    return _kept(found.saved)


def _refuse_other_head(line: str) -> None:
    raise InputError(f"{line}: train it first, with `invsearch train --from`")


def _kept(saved: SavedNetwork) -> _Trained:
    training = saved.training
    spent = [metric.fidelity for metric in saved.metrics.values() if metric.fidelity]
    return _Trained(
        where=str(saved.path),
        network=saved.network(),
        spec=saved.spec,
        resolution=training["resolution"],
        dataset=training["dataset"],
        folder=training.get("folder"),
        decoder=decoder_at_hand(training.get("decoder", "auto")),
        data_fraction=training["data_fraction"],
        fidelity=spent[0] if spent else None,
    )


def _released(path: Path) -> _Trained:
    checkpoint = read_checkpoint(path)
    if not is_official(checkpoint):
        raise InputError(
            f"{path} is no released checkpoint: name its network, such as rednet50, and give the "
            "file with --weights"
        )
    network = from_official(checkpoint)
    if not network.spec.num_classes:
        raise InputError(f"{path} has no head: there is nothing to evaluate")
    return _Trained(str(path), network, network.spec, _RELEASED_RESOLUTION, scale=_IMAGENET)


def _data(trained: _Trained, dataset: str | None, resolution: int | None) -> ImageData:
    name = dataset or trained.dataset
    if name is None:
        raise InputError(f"{trained.where}: name what to evaluate it on with --dataset")
    data = load_dataset(
        name,
        folder=None if dataset else trained.folder,
        resolution=resolution or trained.resolution,
        data_fraction=1.0 if dataset else trained.data_fraction,
        decoder=trained.decoder,
        pixels=True,
    )
    check_learnable(trained.spec, data)
    for what, mine, theirs in (
        ("classes", trained.spec.num_classes, data.num_classes),
        ("channels", trained.spec.in_channels, data.channels),
    ):
        if mine != theirs:
            whose = f": it was trained on {trained.dataset!r}" if trained.dataset else ""
            raise InputError(
                f"{trained.where} has {mine} {what}, the data set {data.name!r} has {theirs}{whose}"
            )
    if trained.scale is not None:
        if data.scale is None:
            raise InputError(
                f"the data set {data.name!r} is no pixels from 0 to 255, which {trained.where} "
                "takes"
            )
        data = replace(data, scale=trained.scale)
    return data


def _batches(data: ImageData, split: str, device: str) -> Iterator[tuple[Tensor, Tensor]]:
    scale = data.scale and data.scale.to(torch.device(device))
    for some, truth in data.batches("val" if split == "val" else "test", _AT_ONCE):
        some = some.to(device)
        some = some if scale is None else scale(some)
        yield some.contiguous(memory_format=torch.channels_last), truth.to(device)
