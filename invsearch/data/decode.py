"""From images that can be decoded to the tensors that networks are trained on."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from invsearch.data.dataset import Wanted
from invsearch.data.images import ImageData, Scale, stratified_subset
from invsearch.data.splits import Labelled, Splits
from invsearch.errors import InputError

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["image_data"]

_GREY = ("1", "L", "LA", "I;16")
_BYTES = {True: 1, False: 5}  # of a pixel's channel: uint8, or float32 with the uint8 before it


def image_data(splits: Splits, name: str, wanted: Wanted) -> ImageData:
    """Decode a data set; of the training images those that are wanted, of the test images none yet.

    Images are grey if the first training image is, else RGB. Those that are not square are cropped
    to the middle square where a resolution is given.

    Args:
        splits: The images.
        name: Name of the data set.
        wanted: Without a resolution the images' own, all equal and square.

    Raises:
        InputError: If an image cannot be used, or they would not fit into memory.
    """
    decoder = _Decoder.like_first_of(splits, wanted)
    splits = splits.complete()
    assert splits.val is not None
    assert splits.test is not None
    train = splits.train
    train = train.at(stratified_subset(train.labels, wanted.data_fraction, wanted.seed))
    decoder.check_memory(len(train) + len(splits.val), pixels=wanted.pixels)
    train_images, val_images = decoder(train), decoder(splits.val)
    scale, test = Scale.of(train_images), splits.test

    def made(images: Tensor) -> Tensor:
        return images if wanted.pixels else scale(images)

    return ImageData(
        train_images=made(train_images),
        train_labels=train.labels,
        val_images=made(val_images),
        val_labels=splits.val.labels,
        num_classes=len(splits.classes),
        name=name,
        mirrors=splits.mirrors,
        data_fraction=wanted.data_fraction,
        scale=scale if wanted.pixels else None,
        make_test=lambda: (made(decoder(test)), test.labels),
        classes=tuple(splits.classes),
        normalisation=scale,
    )


class _Decoder:
    """Decodes images to one mode and size.

    Args:
        where: The data set, for messages.
        mode: ``L`` or ``RGB``.
        side: Of the square images, in pixels.
        resizes: Whether images of another size are resized; else they are refused.
    """

    def __init__(self, where: str, mode: str, side: int, *, resizes: bool) -> None:
        self._where, self._mode, self._side, self._resizes = where, mode, side, resizes

    @classmethod
    def like_first_of(cls, splits: Splits, wanted: Wanted) -> _Decoder:
        """What decodes all images as the first training image asks for, if nothing else does."""
        first = splits.train.decoded(0)
        mode = "L" if first.mode in _GREY else "RGB"
        first = splits.train.decoded(0, mode)  # whole: it may be cut off
        resolution = wanted.resolution
        return cls(splits.where, mode, resolution or first.width, resizes=resolution is not None)

    def __call__(self, images: Labelled) -> Tensor:
        """Decode to uint8 (N, C, side, side)."""
        channels = len(self._mode)  # one letter a channel
        pixels = np.empty((len(images), self._side, self._side, channels), dtype=np.uint8)
        for row in range(len(images)):
            picture = self._fitted(images.decoded(row, self._mode), images.name(row))
            pixels[row] = np.asarray(picture).reshape(self._side, self._side, channels)
        return torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous()

    def check_memory(self, count: int, *, pixels: bool) -> None:
        """Refuse, before an hour of decoding, what this machine cannot hold.

        Raises:
            InputError: If it is more than the machine's whole memory.
        """
        needed = count * self._side**2 * len(self._mode) * _BYTES[pixels]
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        if needed > memory:
            raise InputError(
                f"{self._where}: {count:,} images of {self._side} px take {needed / 1e9:.0f} GB, "
                f"and this machine has {memory / 1e9:.0f}: give a smaller resolution or a "
                "data_fraction"
            )

    def _fitted(self, picture: Image, name: str) -> Image:
        from PIL import ImageOps
        from PIL.Image import Resampling

        size = (self._side, self._side)
        if picture.size == size:
            return picture
        if not self._resizes:
            raise InputError(
                f"{name}: the image is {picture.width} x {picture.height}, not {self._side} x "
                f"{self._side}; give a resolution"
            )
        return ImageOps.fit(picture, size, method=Resampling.BILINEAR)
