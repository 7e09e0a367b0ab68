"""From images that can be decoded to the tensors that networks are trained on."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from invsearch.data.cut import Cut
from invsearch.data.dataset import Wanted
from invsearch.data.decoders import Jpeg, jpeg_decoder
from invsearch.data.decoders.pillow import PILLOW
from invsearch.data.images import ImageData, Scale, stratified_subset
from invsearch.data.memory import machine_memory
from invsearch.data.pictures import GREY
from invsearch.data.splits import Labelled, Splits
from invsearch.data.stream import Encoded, decoding_threads
from invsearch.errors import InputError

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["SAMPLE", "Bytes", "Decoder", "image_data", "wanted_part"]

Bytes = NDArray[np.uint8]

SAMPLE = 1024
"""Images that the normalisation of streamed ones is taken from. The means of images differ by about
half of a pixel's deviation, so the mean of so many is off by less than a fiftieth of it."""

_TOGETHER = 32  # images that a thread takes at once: a tenth of a second of large ones
_SAMPLE_SEED = 0  # any, and never another: trainings are compared on images of one normalisation
_RESIDENT = 0.5  # of a memory: the network, its activations and the process want the rest
_BYTES = {True: 1, False: 5}  # of a pixel's channel: uint8, or float32 with the uint8 before it


def image_data(splits: Splits, name: str, wanted: Wanted) -> ImageData:
    """Decode a data set; of the training images those that are wanted, of the test images none yet.

    Where normalised images would take more than half of the memory, pixels are kept; where these
    would, or ``wanted`` says so, images are decoded batch by batch, in training.

    Images are grey if the first training image is, else RGB. Those that are not square are cropped
    to the middle square where a resolution is given.

    Args:
        splits: The images.
        name: Name of the data set.
        wanted: Without a resolution the images' own, all equal and square.

    Raises:
        InputError: If an image cannot be used, they would not fit into memory, or the decoder is
            not installed.
    """
    decoder = Decoder.like_first_of(splits, wanted)
    splits = splits.complete()
    assert splits.val is not None
    train = wanted_part(splits.train, wanted)
    count = len(train) + len(splits.val)
    if not wanted.pixels and not decoder.fits(count, pixels=False):
        wanted = replace(wanted, pixels=True)  # a fifth of the memory, and the same numbers
    streams = wanted.stream
    if streams is None:
        streams = not decoder.fits(count, pixels=wanted.pixels)
    if streams:
        decoder.check_memory(min(count, SAMPLE), pixels=False)
        return _streamed(splits, train, decoder, name, wanted)
    decoder.check_memory(count, pixels=wanted.pixels)
    return _resident(splits, train, decoder, name, wanted)


def _resident(
    splits: Splits, train: Labelled, decoder: Decoder, name: str, wanted: Wanted
) -> ImageData:
    assert splits.val is not None
    assert splits.test is not None
    train_images, train_labels = decoder(train)
    val_images, val_labels = decoder(splits.val)
    scale, test = Scale.of(train_images), splits.test

    def made(images: Tensor) -> Tensor:
        return images if wanted.pixels else scale(images)

    def make_test() -> tuple[Tensor, Tensor]:
        images, labels = decoder(test)
        return made(images), labels

    return ImageData(
        train_images=made(train_images),
        train_labels=train_labels,
        val_images=made(val_images),
        val_labels=val_labels,
        num_classes=len(splits.classes),
        name=name,
        mirrors=splits.mirrors,
        data_fraction=wanted.data_fraction,
        scale=scale if wanted.pixels else None,
        make_test=make_test,
        classes=tuple(splits.classes),
        normalisation=scale,
        decoder=decoder.jpeg.name,
        blocks=train.blocks,
    )


def _streamed(
    splits: Splits, train: Labelled, decoder: Decoder, name: str, wanted: Wanted
) -> ImageData:
    """The same with images that are decoded when they are wanted; see :class:`ImageData`."""
    assert splits.val is not None
    assert splits.test is not None
    encoded = Encoded(decoder, {"train": train, "val": splits.val, "test": splits.test})
    sample = torch.randperm(len(train), generator=torch.Generator().manual_seed(_SAMPLE_SEED))
    rows = sample[:SAMPLE].sort().values.tolist()
    ((pixels, _),) = encoded.decoded("train", [rows])
    scale = Scale.of(pixels.contiguous())

    def stand_ins(images: Labelled) -> tuple[Tensor, Tensor]:
        shape = (len(images), decoder.channels, decoder.side, decoder.side)
        masks = torch.empty(shape[0], *shape[2:], dtype=torch.uint8, device="meta")
        labels = images.labels if images.masks is None else masks
        return torch.empty(shape, dtype=torch.uint8, device="meta"), labels

    train_images, train_labels = stand_ins(train)
    val_images, val_labels = stand_ins(splits.val)
    test = splits.test
    return ImageData(
        train_images=train_images,
        train_labels=train_labels,
        val_images=val_images,
        val_labels=val_labels,
        num_classes=len(splits.classes),
        name=name,
        mirrors=splits.mirrors,
        data_fraction=wanted.data_fraction,
        scale=scale,
        make_test=lambda: stand_ins(test),
        classes=tuple(splits.classes),
        normalisation=scale,
        decoder=decoder.jpeg.name,
        blocks=train.blocks,
        encoded=encoded,
    )


def wanted_part(train: Labelled, wanted: Wanted) -> Labelled:
    """The training images that are wanted: a fraction of them, every class alike."""
    return train.at(stratified_subset(train.labels, wanted.data_fraction, wanted.seed))


@dataclass(frozen=True)
class Decoder:
    """Decodes images, and masks where they have some, to one mode and size.

    Attributes:
        where: The data set, for messages.
        mode: ``L`` or ``RGB``.
        side: Of the square images, in pixels.
        resizes: Whether images of another size are resized; else they are refused.
        classes: How many there are.
        jpeg: What decodes JPEG.
    """

    where: str
    mode: str
    side: int
    resizes: bool
    classes: int
    jpeg: Jpeg = PILLOW

    @classmethod
    def like_first_of(cls, splits: Splits, wanted: Wanted) -> Decoder:
        """What decodes all images as the first training image asks for, if nothing else does."""
        first = splits.train.decoded(0)
        mode = "L" if first.mode in GREY else "RGB"
        first = splits.train.decoded(0, mode)  # whole: it may be cut off
        side, classes = wanted.resolution or first.width, len(splits.classes)
        jpeg = jpeg_decoder(wanted.decoder)
        return cls(splits.where, mode, side, wanted.resolution is not None, classes, jpeg)

    @property
    def channels(self) -> int:
        """Channels of an image."""
        return len(self.mode)  # one letter a channel

    def __call__(self, images: Labelled) -> tuple[Tensor, Tensor]:
        """Decode all.

        Returns:
            uint8 (N, C, side, side); and the labels, int64 (N,), or the masks, uint8 (N, side,
            side).
        """
        pixels = np.empty((len(images), self.side, self.side, self.channels), dtype=np.uint8)
        maps = np.empty(pixels.shape[:3] if images.masks else (0,), dtype=np.uint8)

        def decode(start: int) -> None:
            for row in range(start, min(start + _TOGETHER, len(images))):
                self.into(images, row, pixels[row], maps[row] if images.masks else None)

        pool = ThreadPoolExecutor(decoding_threads(), "invsearch-decoder")
        try:  # in their order: the first image that cannot be used is the one that is told
            for _ in pool.map(decode, range(0, len(images), _TOGETHER)):
                pass
        finally:
            pool.shutdown(cancel_futures=True)
        decoded = torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous()
        return decoded, torch.from_numpy(maps) if images.masks else images.labels

    def into(
        self, images: Labelled, row: int, pixels: Bytes, mask: Bytes | None, cut: Cut | None = None
    ) -> None:
        """Decode one, into arrays.

        Args:
            images: Among these.
            row: Which.
            pixels: uint8 (side, side, C), written to.
            mask: uint8 (side, side), written to; None where its mask is not wanted.
            cut: The box of it that is wanted; None for all of its middle square.

        Raises:
            InputError: In one line that names it, if it cannot be used.
        """
        # a mask lies on its image pixel by pixel: then the whole image is wanted
        shrink = None if cut is None or images.masks is not None else cut.shrink
        jpeg = None if self.jpeg.decode is None else self.jpeg
        picture = images.decoded(row, self.mode, jpeg, shrink)
        if images.masks is not None and mask is not None:
            found = images.masks.decoded(row, picture.size, self.classes)
            mask[:] = np.asarray(self._fitted(found, images.masks.name(row), cut, smooth=False))
        fitted = self._fitted(picture, images.name(row), cut, smooth=True)
        pixels[:] = np.asarray(fitted).reshape(pixels.shape)

    def bytes_of(self, count: int, *, pixels: bool) -> int:
        """What so many images take in memory."""
        return count * self.side**2 * self.channels * _BYTES[pixels]

    def fits(self, count: int, *, pixels: bool) -> bool:
        """Whether so many images, decoded, leave memory enough: here, and on a GPU if it trains."""
        needed = self.bytes_of(count, pixels=pixels)
        memories = [machine_memory()]
        if pixels and torch.cuda.is_available():
            memories.append(torch.cuda.get_device_properties(0).total_memory)
        return needed <= _RESIDENT * min(memories)

    def check_memory(self, count: int, *, pixels: bool) -> None:
        """Refuse, before an hour of decoding, what this machine cannot hold.

        Raises:
            InputError: If it is more than the machine's whole memory.
        """
        needed = self.bytes_of(count, pixels=pixels)
        memory = machine_memory()
        if needed > memory:
            raise InputError(
                f"{self.where}: {count:,} images of {self.side} px take {needed / 1e9:.0f} GB, "
                f"and this machine has {memory / 1e9:.0f}: give a smaller resolution or a "
                "data_fraction"
            )

    def _fitted(self, picture: Image, name: str, cut: Cut | None, *, smooth: bool) -> Image:
        from PIL import ImageOps
        from PIL.Image import Resampling

        size, method = (self.side, self.side), Resampling.BILINEAR if smooth else Resampling.NEAREST
        if picture.size != size and not self.resizes:
            raise InputError(
                f"{name}: the image is {picture.width} x {picture.height}, not {self.side} x "
                f"{self.side}; give a resolution"
            )
        if cut is not None:
            return picture.crop(cut.within(*picture.size)).resize(size, method)
        return picture if picture.size == size else ImageOps.fit(picture, size, method=method)
