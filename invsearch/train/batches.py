"""Batches: where the images of a training come from, step by step.

Everything random about an epoch follows from its seed, and from nothing that came before: whoever
skips the first steps of an epoch gets the others as they would have come.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import torch
from torch import Tensor

from invsearch.data import ImageData, Part
from invsearch.data.blocks import epoch_order
from invsearch.data.cut import Cut
from invsearch.train.augment import Boxing, augmentation_of
from invsearch.train.origin import Origin
from invsearch.train.recipe import Recipe
from invsearch.train.seeding import process_seed

__all__ = [
    "Batch",
    "Batches",
    "ResidentBatches",
    "Share",
    "StreamedBatches",
    "batches_of",
    "channels_last",
]

Batch = tuple[Tensor, Tensor]
"""Images, normalised, on the device and channels-last, float32 (B, C, H, W), and their targets:
labels, int64 (B,), or probabilities of the classes, float32 (B, classes)."""

_JUDGED = 256  # images of a batch that is judged: as many as fit beside a large network
_JUDGED_PIXELS = 2**20  # of one where every pixel is: 100 MB of logits of 20 classes

_DRAWN = 64  # batches whose boxes are drawn at once: a GPU is waited for once in so many


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

    @property
    def origin(self) -> Origin:
        """What decides the images beside recipe and seed."""


def batches_of(
    data: ImageData, recipe: Recipe, device: torch.device, share: Share = Share()
) -> Batches:
    """Where the batches of a data set come from."""
    kind = ResidentBatches if data.encoded is None else StreamedBatches
    return kind(data, recipe, device, share)


class _OrderedBatches(ABC):
    """Batches of rows in an order that follows from a seed, wherever their images are.

    Args:
        data: Images and labels.
        recipe: Says the size of a batch and the augmentation.
        device: Where the network is.
        share: Which part of every batch is yielded.
    """

    def __init__(
        self, data: ImageData, recipe: Recipe, device: torch.device, share: Share = Share()
    ) -> None:
        self._data, self._device, self._share = data, device, share
        self._scale = data.scale and data.scale.to(device)
        self._size = min(recipe.batch_size, len(data.train_labels))
        self._augmented = augmentation_of(recipe, data)

    @abstractmethod
    def _taken(self, rows: Sequence[Tensor]) -> Iterator[Batch]:
        """Training images as the data set has them, and their targets, of some rows at a time."""

    def _trained(self, rows: Sequence[Tensor], generator: torch.Generator) -> Iterator[Batch]:
        for images, targets in self._taken(rows):
            images, targets = self._augmented(self.ready(images), targets, generator)
            yield channels_last(images), targets

    @property
    def origin(self) -> Origin:
        order: Literal["rows", "blocks"] = "rows" if self._data.blocks is None else "blocks"
        return Origin(self._data.decoder, order=order)

    @property
    def steps_per_epoch(self) -> int:
        return len(self._data.train_labels) // self._size

    def epoch(self, seed: int, skip: int = 0) -> Iterator[Batch]:
        generator = torch.Generator().manual_seed(seed)
        order = epoch_order(len(self._data.train_labels), self._data.blocks, generator)
        generator = self._drawing(generator, seed)
        mine = self._share.of(self._size)
        rows = [some[mine] for some in order.split(self._size)[: self.steps_per_epoch]]
        for some in rows[:skip]:
            self._augmented(*self._blank(len(some)), generator)
        yield from self._trained(rows[skip:], generator)

    def plain(self, seed: int, size: int, most: int) -> Iterator[Tensor]:
        generator = torch.Generator().manual_seed(seed)
        order = epoch_order(len(self._data.train_labels), self._data.blocks, generator)
        size = min(size, len(order))
        whole = min(len(order), most) // size
        for images, _ in self._taken(order.split(size)[:whole]):
            yield self.ready(images)

    def judged(self, part: Part) -> Iterator[Batch]:
        pinned = self._device.type == "cuda"
        for images, targets in self._data.batches(part, self._judged_size, pinned=pinned):
            yield self.ready(images), targets.to(self._device, non_blocking=pinned)

    @property
    def _judged_size(self) -> int:
        if not self._data.dense:
            return _JUDGED
        return max(1, min(_JUDGED, _JUDGED_PIXELS // self._data.resolution**2))

    def ready(self, images: Tensor) -> Tensor:
        images = images.to(self._device, non_blocking=True)
        return channels_last(images if self._scale is None else self._scale(images))

    def _drawing(self, ordering: torch.Generator, seed: int) -> torch.Generator:
        """What the augmentation draws from: on a GPU, draws of the CPU would have to be sent."""
        if self._device.type == "cpu" and self._share.world == 1:
            return ordering
        # each process augments other images: equal draws would make a batch less varied
        own = process_seed(seed, self._share.rank)
        return torch.Generator(self._device).manual_seed(own)

    def _blank(self, size: int) -> Batch:
        """Stand-ins for so many images and targets, without values: to draw for costs no more."""
        images, targets = self._data.train_images, self._data.train_labels
        return (
            torch.empty(size, *images.shape[1:], device="meta"),
            torch.empty(size, *targets.shape[1:], device="meta", dtype=targets.dtype),
        )


class ResidentBatches(_OrderedBatches):
    """Of a data set kept on the device as it comes, in uint8 if it is pixels.

    Images are normalised and augmented there batch by batch; on a GPU no step waits for another.
    """

    def __init__(
        self, data: ImageData, recipe: Recipe, device: torch.device, share: Share = Share()
    ) -> None:
        super().__init__(data, recipe, device, share)
        self._images = data.train_images.to(device)
        self._labels = data.train_labels.to(device)

    def _taken(self, rows: Sequence[Tensor]) -> Iterator[Batch]:
        if not rows:
            return
        sizes = [len(some) for some in rows]
        here = torch.cat(list(rows)).to(self._device)  # once: each way there waits for a GPU
        for some in here.split(sizes):
            yield self._images[some], self._labels[some]


class StreamedBatches(_OrderedBatches):
    """Of a data set whose images are decoded when they are wanted, some batches ahead.

    What is skipped is not decoded. On a GPU the pixels come from pinned memory, and no step waits
    for their way. Where images are resized, boxes of them are cut from the originals: the boxes
    that images in memory would be cut to, drawn some batches ahead.
    """

    def _trained(self, rows: Sequence[Tensor], generator: torch.Generator) -> Iterator[Batch]:
        boxing = self._boxing
        if boxing is None:
            yield from super()._trained(rows, generator)
            return
        ahead = torch.Generator(generator.device)
        ahead.set_state(generator.get_state())
        rest, shape = self._augmented.after_boxes(), self._data.train_images.shape[1:]
        for images, targets in self._taken(rows, self._cuts(rows, boxing, ahead)):
            boxing((len(images), *shape), generator)  # cut already
            images, targets = rest(self.ready(images), targets, generator)
            yield channels_last(images), targets

    @property
    def _boxing(self) -> Boxing | None:
        """What draws the boxes that are cut from the originals; images of their own size gain none.

        Then training is to the last bit that on images in memory.
        """
        encoded = self._data.encoded
        return self._augmented.boxing if encoded is not None and encoded.decoder.resizes else None

    @property
    def origin(self) -> Origin:
        return super().origin if self._boxing is None else replace(super().origin, crop="original")

    def _cuts(
        self, rows: Sequence[Tensor], boxing: Boxing, ahead: torch.Generator
    ) -> Iterator[Sequence[Cut]]:
        """Of each batch the boxes; what the other augmentations draw between them is drawn too."""
        rest, shape = self._augmented.after_boxes(), self._data.train_images.shape[1:]
        for start in range(0, len(rows), _DRAWN):
            drawn = []
            for some in rows[start : start + _DRAWN]:
                drawn.append(boxing((len(some), *shape), ahead))
                rest(*self._blank(len(some)), ahead)
            places = [torch.stack((b.top, b.left, b.height, b.width), dim=1) for b in drawn]
            found = torch.cat(places).cpu()  # of a GPU's draws the one way back: it is waited for
            for boxes in found.split([len(some) for some in places]):
                yield [Cut(b[0], b[1], b[2], b[3], shape[-1]) for b in boxes.tolist()]

    def _taken(
        self, rows: Sequence[Tensor], cuts: Iterator[Sequence[Cut]] | None = None
    ) -> Iterator[Batch]:
        encoded, pinned = self._data.encoded, self._device.type == "cuda"
        assert encoded is not None
        lists = [some.tolist() for some in rows]
        for images, targets in encoded.decoded("train", lists, cuts, pinned=pinned):
            yield (
                images.to(self._device, non_blocking=pinned),
                targets.to(self._device, non_blocking=pinned),
            )


def channels_last(images: Tensor) -> Tensor:
    """Images in the memory format that they are trained in."""
    return images.contiguous(memory_format=torch.channels_last)
