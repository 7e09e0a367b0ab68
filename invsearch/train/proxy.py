"""The network that is trained in place of a searched one, and its trainer: for searches and after.

A searched network is too large to train by the dozen: its proxy is narrower, on smaller images.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import TYPE_CHECKING, Any, overload

from torch import nn

from invsearch.errors import InputError
from invsearch.models import (
    ModuleSpec,
    SearchedSpec,
    TaskSpec,
    build_searched,
    proxy_spec,
    proxy_task,
)
from invsearch.models.module import taken_keywords
from invsearch.models.task import DETECTORS
from invsearch.train.device import resolve_precision
from invsearch.train.processes import ALONE, Processes
from invsearch.train.recipe import Recipe
from invsearch.train.seeding import seeded_build
from invsearch.train.trainer import Trainer

if TYPE_CHECKING:
    from invsearch.data import ImageData
    from invsearch.models import NetworkSpec
    from invsearch.space import Accuracy

__all__ = ["check_learnable", "recipe_of", "trained_spec", "trained_width", "trainer_of"]


def recipe_of(accuracy: Accuracy, device: str) -> Recipe:
    """The recipe that a space file states, on a device that it is resolved for."""
    precision = resolve_precision(accuracy.precision, device)
    return Recipe.from_mapping({**dict(accuracy), "precision": precision})


def check_learnable(searched: SearchedSpec, data: ImageData | None = None) -> None:
    """Check that a network can be trained, and on this data set.

    Args:
        searched: The full-size network.
        data: What it is to be trained on; None where that is not known yet.

    Raises:
        InputError: If it is a detector, or its task is another than that of the data.
    """
    task = searched.task if isinstance(searched, TaskSpec) else ""
    if task in DETECTORS:
        raise InputError(
            f"{task} is a detector, which is counted and not trained: no data set here has boxes"
        )
    if data is None or data.dense == bool(task):
        return
    if task:
        raise InputError(
            f"{task} learns the class of every pixel, and the data set {data.name!r} has one of "
            "every image: name one with masks, such as digit_scenes or a folder of images/ and "
            "masks/"
        )
    raise InputError(
        f"the data set {data.name!r} has a class for every pixel, and a network without a task "
        "learns one of every image: give space.task a segmenter, or name another data set"
    )


@overload
def trained_spec(
    searched: NetworkSpec, accuracy: Accuracy, data: ImageData, *, full: bool = False
) -> NetworkSpec: ...
@overload
def trained_spec(
    searched: SearchedSpec, accuracy: Accuracy, data: ImageData, *, full: bool = False
) -> SearchedSpec: ...
def trained_spec(
    searched: SearchedSpec, accuracy: Accuracy, data: ImageData, *, full: bool = False
) -> SearchedSpec:
    """The network that is trained: with the classes and channels of the data.

    Args:
        searched: The full-size network, or the segmenter around it.
        accuracy: States the proxy.
        data: What it is trained on.
        full: Whether the full-size network is trained rather than its proxy.

    Raises:
        InputError: As :func:`check_learnable`, or if an operator cannot have a proxy's width.
    """
    check_learnable(searched, data)
    proxy = accuracy.proxy
    scale: dict[str, Any] = {
        "width": proxy.width,
        "stem_stride": proxy.stem_stride,
        "pool": proxy.pool,
    }
    ends: dict[str, Any] = {"num_classes": data.num_classes, "in_channels": data.channels}
    if isinstance(searched, ModuleSpec):
        if full:
            return replace(searched, scale=(), **ends)
        _check_scale(searched, proxy.model_fields_set & scale.keys())
        return searched.proxy(scale, **ends)
    if isinstance(searched, TaskSpec):
        if not full:
            return proxy_task(searched, **scale, **ends)
        return replace(
            searched,
            backbone=replace(searched.backbone, **ends),
            num_classes=data.num_classes,
        )
    return replace(searched, **ends) if full else proxy_spec(searched, **scale, **ends)


def _check_scale(searched: ModuleSpec, stated: Collection[str]) -> None:
    """Refuse a setting of the proxy that the builder does not take."""
    for name in sorted(set(stated) - taken_keywords(searched)):
        raise InputError(
            f"accuracy.proxy.{name} has no effect: the builder {searched.builder!r} takes no {name}"
        )


def trained_width(searched: SearchedSpec, accuracy: Accuracy, *, full: bool = False) -> float:
    """Width of the network that is trained, as a fraction of the searched one's."""
    if full or (isinstance(searched, ModuleSpec) and "width" not in taken_keywords(searched)):
        return 1.0
    return accuracy.proxy.width


def trainer_of(
    searched: SearchedSpec,
    accuracy: Accuracy,
    data: ImageData,
    seed: int,
    *,
    full: bool = False,
    device: str = "cpu",
    prepare: Callable[[nn.Module], None] | None = None,
    processes: Processes = ALONE,
) -> Trainer:
    """Build the network that is trained, and the trainer of it.

    Args:
        searched: The full-size network.
        accuracy: States the proxy and the recipe.
        data: What it is trained on.
        seed: Of the weights, the order and the augmentation.
        full: Whether the full-size network is trained rather than its proxy.
        device: Where to train; see :func:`invsearch.train.device.resolve_device`.
        prepare: Given the network before it is trained, such as to load weights.
        processes: Those that train it together.
    """
    spec = trained_spec(searched, accuracy, data, full=full)
    network = seeded_build(lambda: build_searched(spec), seed)
    if prepare is not None:
        prepare(network)
    width = trained_width(searched, accuracy, full=full)
    recipe = recipe_of(accuracy, device)
    return Trainer(network, data, recipe, seed, device, width=width, processes=processes)
