"""The network that is trained in place of a searched one, and its trainer: for searches and after.

A searched network is too large to train by the dozen: its proxy is narrower, on smaller images.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from torch import nn

from invsearch.models import build, proxy_spec
from invsearch.train.device import resolve_precision
from invsearch.train.processes import ALONE, Processes
from invsearch.train.recipe import Recipe
from invsearch.train.seeding import seeded_build
from invsearch.train.trainer import Trainer

if TYPE_CHECKING:
    from invsearch.data import ImageData
    from invsearch.models import NetworkSpec
    from invsearch.space import Accuracy

__all__ = ["recipe_of", "trained_spec", "trainer_of"]


def recipe_of(accuracy: Accuracy, device: str) -> Recipe:
    """The recipe that a space file states, on a device that it is resolved for."""
    precision = resolve_precision(accuracy.precision, device)
    return Recipe.from_mapping({**dict(accuracy), "precision": precision})


def trained_spec(
    searched: NetworkSpec, accuracy: Accuracy, data: ImageData, *, full: bool = False
) -> NetworkSpec:
    """The network that is trained: with the classes and channels of the data.

    Args:
        searched: The full-size network.
        accuracy: States the proxy.
        data: What it is trained on.
        full: Whether the full-size network is trained rather than its proxy.
    """
    classes, channels = data.num_classes, data.channels
    if full:
        return replace(searched, num_classes=classes, in_channels=channels)
    proxy = accuracy.proxy
    return proxy_spec(
        searched,
        width=proxy.width,
        stem_stride=proxy.stem_stride,
        pool=proxy.pool,
        num_classes=classes,
        in_channels=channels,
    )


def trainer_of(
    searched: NetworkSpec,
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
    network = seeded_build(lambda: build(spec), seed)
    if prepare is not None:
        prepare(network)
    width = 1.0 if full else accuracy.proxy.width
    recipe = recipe_of(accuracy, device)
    return Trainer(network, data, recipe, seed, device, width=width, processes=processes)
