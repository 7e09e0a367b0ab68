"""Splits: a data set's three parts before anything is decoded, and the rule for those it lacks.

A search chooses by the validation set, so what it says of its choice flatters; the test set is what
nothing was chosen by. Every data set has all three: a part that is missing is split off another,
stratified and always the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from invsearch.data.blocks import Blocks
from invsearch.data.decoders import Jpeg
from invsearch.data.images import ImageData, stratified_subset
from invsearch.data.masks import Masks
from invsearch.data.pictures import Shrink, Source, in_mode, named_damage, opened_picture
from invsearch.errors import InputError

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["HELD_OUT", "Labelled", "Splits", "held_out", "numbered_classes", "with_test"]

HELD_OUT = 0.1
"""Share of a set that is split off it: 5,000 of CIFAR-10's 50,000, as is usual there."""

_HALF = 0.5  # of a validation set, where that is all there is beside the training images
_SPLIT_SEED = 0  # any, and never another: runs are compared on the same images


def _whole(width: int, height: int) -> int:
    return 1


@dataclass(frozen=True, eq=False)
class Labelled:
    """Labelled images, none of them decoded yet.

    Attributes:
        labels: int64 (N,), from 0.
        picture: Opens the image of a row. What it, or decoding, raises is told as :meth:`decoded`
            does.
        name: Names a row, for messages: ``photos/train/cat/7.jpg``.
        masks: The class of every pixel, where that is what is learned; then every image has the
            label 0, and a part that is split off takes of all of them alike.
        source: Where the encoded image of a row is, where it is encoded; what ``picture`` opens.
        blocks: Which rows are read together; None where each is read alone.
    """

    labels: Tensor
    picture: Callable[[int], Image]
    name: Callable[[int], str]
    masks: Masks | None = None
    source: Callable[[int], Source] | None = None
    blocks: Blocks | None = None

    @classmethod
    def encoded(
        cls,
        labels: Tensor,
        source: Callable[[int], Source],
        name: Callable[[int], str],
        masks: Masks | None = None,
    ) -> Labelled:
        """Images that are encoded, in files or in memory; turned as their camera says."""
        return cls(labels, lambda row: opened_picture(source(row)), name, masks, source)

    def __len__(self) -> int:
        return len(self.labels)

    def at(self, rows: Tensor) -> Labelled:
        """Some of them."""
        where, source = rows.tolist(), self.source
        return Labelled(
            self.labels[rows],
            lambda row: self.picture(where[row]),
            lambda row: self.name(where[row]),
            self.masks and self.masks.at(where),
            None if source is None else lambda row: source(where[row]),
            self.blocks and self.blocks.at(rows),
        )

    def decoded(
        self,
        row: int,
        mode: str | None = None,
        jpeg: Jpeg | None = None,
        shrink: Shrink | None = None,
    ) -> Image:
        """Decode an image, and convert it to a mode of Pillow's.

        Args:
            row: Which.
            mode: ``L`` or ``RGB``; None to leave it as it is.
            jpeg: What decodes JPEG; None for Pillow.
            shrink: By what its sides may be divided in decoding; None to keep them.

        Raises:
            InputError: In one line that names the image, if it is broken.
        """
        with named_damage(self.name(row)):
            if self.source is None or (jpeg is None and shrink is None):
                picture = self.picture(row)
            else:
                picture = opened_picture(self.source(row), jpeg, shrink or _whole)
            return picture if mode is None else in_mode(picture, mode)


@dataclass(frozen=True, eq=False)
class Splits:
    """A data set before it is decoded.

    Attributes:
        where: The file or folder, for messages.
        classes: The classes' names, in the order of their labels.
        train: To train on; what is missing of the others is split off it.
        val: To choose by, or None.
        test: To look at once, or None.
        mirrors: Whether a mirrored image keeps its class.
    """

    where: str
    classes: Sequence[str]
    train: Labelled
    val: Labelled | None = None
    test: Labelled | None = None
    mirrors: bool = True

    @property
    def dense(self) -> bool:
        """Whether every pixel has a class, not every image."""
        return self.train.masks is not None

    def complete(self) -> Splits:
        """The same with all three parts, each checked.

        A missing validation set is a tenth of the training set. A missing test set is half of a
        given validation set, else a tenth of the training set too.

        Raises:
            InputError: If a label is out of range, or a class has no image to train on or to be
                validated on; it names the class.
        """
        for part, name in ((self.train, "train"), (self.val, "val"), (self.test, "test")):
            if part is not None:
                self._check_labels(part, name)
        self._check_classes(self.train, "train")
        splits = self
        if splits.test is None:
            splits = splits._with_test()
        if splits.val is None:
            train, val = self._divided(splits.train, HELD_OUT)
            splits = replace(splits, train=train, val=val)
        assert splits.val is not None
        self._check_classes(splits.val, "val")
        return splits

    def _with_test(self) -> Splits:
        if self.val is None:
            train, test = self._divided(self.train, HELD_OUT)
            return replace(self, train=train, test=test)
        kept, aside = held_out(self.val.labels, _HALF)
        return replace(self, val=self.val.at(kept), test=self.val.at(aside))

    def _divided(self, whole: Labelled, share: float) -> tuple[Labelled, Labelled]:
        kept, aside = held_out(whole.labels, share)
        for label in whole.labels.unique().tolist():
            if not (whole.labels[kept] == label).any() or not (whole.labels[aside] == label).any():
                whose = self.where if self.dense else f"{self.where}: class {self.classes[label]!r}"
                raise InputError(
                    f"{whose} has too few images to keep one aside: add some, or give a validation "
                    "set of your own"
                )
        return whole.at(kept), whole.at(aside)

    def _check_labels(self, part: Labelled, name: str) -> None:
        if not len(part):
            raise InputError(f"{self.where}: {name} holds no images")
        low, high = int(part.labels.min()), int(part.labels.max())
        if low < 0 or high >= len(self.classes):
            row = int((part.labels == (low if low < 0 else high)).nonzero()[0])
            raise InputError(
                f"{part.name(row)}: label {int(part.labels[row])} is out of range; labels count "
                f"from 0 to {len(self.classes) - 1}"
            )

    def _check_classes(self, part: Labelled, name: str) -> None:
        if self.dense:  # of masks it is known when they are decoded, and a class may well be rare
            return
        counts = part.labels.bincount(minlength=len(self.classes))
        empty = [self.classes[label] for label in (counts == 0).nonzero().flatten().tolist()]
        if empty:
            more = f" and {len(empty) - 1} more" if len(empty) > 1 else ""
            raise InputError(f"{self.where}: class {empty[0]!r}{more} has no image in {name}")


def held_out(labels: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """Divide rows, always alike and every class in its share: what is kept, what is held out.

    A class of one image keeps it.

    Args:
        labels: int64 (N,).
        share: Of each class, of which at least one is held out.
    """
    aside = torch.zeros(len(labels), dtype=torch.bool)
    aside[stratified_subset(labels, share, _SPLIT_SEED)] = True
    single = labels.bincount()[labels] == 1
    aside &= ~single
    return (~aside).nonzero().flatten(), aside.nonzero().flatten()


def numbered_classes(labels: Tensor, where: str) -> tuple[str, ...]:
    """Names of classes that have none: the numbers from 0 to the largest label.

    Args:
        labels: int64 (N,) of the training images.
        where: What they are, for messages.

    Raises:
        InputError: If a label is so large that some class must be without an image.
    """
    largest = int(labels.max()) if len(labels) else -1
    if largest >= len(labels):
        raise InputError(
            f"{where}: label {largest} is out of range: {len(labels)} training images have at most "
            "as many classes, counted from 0"
        )
    return tuple(str(label) for label in range(largest + 1))


def with_test(data: ImageData) -> ImageData:
    """The data with a test set: half of the validation set where there is none."""
    if data.make_test is not None:
        return data
    images, labels = data.val_images, data.val_labels
    alike = torch.zeros(len(labels), dtype=torch.int64)  # masks have every class, or any
    kept, aside = held_out(alike if data.dense else labels, _HALF)
    return replace(
        data,
        val_images=images[kept],
        val_labels=labels[kept],
        make_test=lambda: (images[aside], labels[aside]),
    )
