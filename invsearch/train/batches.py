"""Batches: where the images of a training come from, step by step.

Everything random about an epoch follows from its seed, and from nothing that came before: whoever
skips the first steps of an epoch gets the others as they would have come.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

from invsearch.data import ImageData
from invsearch.train.augmentation import augmentation_of
from invsearch.train.recipe import Recipe
from invsearch.train.seeding import process_seed

__all__ = ["Batch", "Batches", "Part", "ResidentBatches", "Share", "batches_of", "channels_last"]

Batch = tuple[Tensor, Tensor]
"""Images, normalised, on the device and channels-last, float32 (B, C, H, W), and their targets:
labels, int64 (B,), or probabilities of the classes, float32 (B, classes)."""

Part = Literal["val", "test"]

_JUDGED = 256  # images of a batch that is judged: as many as fit beside a large network


@dataclass(frozen=True)
class Share:
    """Which part of every batch this process takes, where several train one network.

    Attributes:
        rank: Of this process, from 0.
        world: How many there are.
    """

    rank: int = 0
    world: int = 1

    def of(self, size: int) -> slice:
        """This process's rows of ``size``; the first ones take one more where they are uneven."""
        least, more = divmod(size, self.world)
        start = self.rank * least + min(self.rank, more)
        return slice(start, start + least + (self.rank < more))


class Batches(Protocol):
    """Where images come from; whoever makes one is told the recipe, the device and the share."""

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches of an epoch; what is left of its order is skipped."""

    def epoch(self, seed: int, skip: int = 0) -> Iterator[Batch]:
        """The training batches of an epoch, augmented; of each, this process's share.

        Args:
            seed: Of the order and the augmentation.
            skip: Steps not to yield, at the least work that leaves the others as they are.
        """

    def plain(self, seed: int, size: int, most: int) -> Iterator[Tensor]:
        """Images of the training set, not augmented, in whole batches; the same in every process.

        Args:
            seed: Which images.
            size: Of a batch; smaller where the set is.
            most: Images in all.
        """

    def judged(self, part: Part) -> Iterator[Batch]:
        """All images of the validation or the test set with their labels, once and in order."""

    def ready(self, images: Tensor) -> Tensor:
        """Images as the data set has them, (N, C, H, W), as the network takes them."""


def batches_of(
    data: ImageData, recipe: Recipe, device: torch.device, share: Share = Share()
) -> Batches:
    """Where the batches of a data set come from."""
    return ResidentBatches(data, recipe, device, share)


class ResidentBatches:
    """Of a data set kept on the device as it comes, in uint8 if it is pixels.

    Images are normalised and augmented there batch by batch; on a GPU no step waits for another.

    Args:
        data: Images and labels.
        recipe: Says the size of a batch and the augmentation.
        device: Where the images are kept.
        share: Which part of every batch is yielded.
    """

    def __init__(
        self, data: ImageData, recipe: Recipe, device: torch.device, share: Share = Share()
    ) -> None:
        self._data, self._device, self._share = data, device, share
        self._images = data.train_images.to(device)
        self._labels = data.train_labels.to(device)
        self._scale = data.scale and data.scale.to(device)
        self._size = min(recipe.batch_size, len(self._labels))
        self._augmented = augmentation_of(recipe, mirrors=data.mirrors)

    @property
    def steps_per_epoch(self) -> int:
        return len(self._labels) // self._size

    def epoch(self, seed: int, skip: int = 0) -> Iterator[Batch]:
        generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(len(self._labels), generator=generator).to(self._device)
        generator = self._drawing(generator, seed)
        mine = self._share.of(self._size)
        for step in range(self.steps_per_epoch):
            rows = order[step * self._size : (step + 1) * self._size][mine]
            if step < skip:
                self._augmented(self._blank(len(rows)), self._labels[rows], generator)
                continue
            images, labels = self._augmented(
                self.ready(self._images[rows]), self._labels[rows], generator
            )
            yield channels_last(images), labels

    def plain(self, seed: int, size: int, most: int) -> Iterator[Tensor]:
        generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(len(self._labels), generator=generator).to(self._device)
        size = min(size, len(order))
        for start in range(0, min(len(order), most) - size + 1, size):
            yield self.ready(self._images[order[start : start + size]])

    def judged(self, part: Part) -> Iterator[Batch]:
        data = self._data
        images, labels = (
            (data.val_images, data.val_labels)
            if part == "val"
            else (data.test_images, data.test_labels)
        )
        for some, truth in zip(images.split(_JUDGED), labels.split(_JUDGED), strict=True):
            yield self.ready(some.to(self._device)), truth.to(self._device)

    def ready(self, images: Tensor) -> Tensor:
        images = images.to(self._device)
        return channels_last(images if self._scale is None else self._scale(images))

    def _drawing(self, ordering: torch.Generator, seed: int) -> torch.Generator:
        """What the augmentation draws from: on a GPU, draws of the CPU would have to be sent."""
        if self._device.type == "cpu" and self._share.world == 1:
            return ordering
        # each process augments other images: equal draws would make a batch less varied
        own = process_seed(seed, self._share.rank)
        return torch.Generator(self._device).manual_seed(own)

    def _blank(self, size: int) -> Tensor:
        shape = (size, *self._images.shape[1:])
        return torch.zeros((), device=self._device).expand(shape)


def channels_last(images: Tensor) -> Tensor:
    """Images in the memory format that they are trained in."""
    return images.contiguous(memory_format=torch.channels_last)
