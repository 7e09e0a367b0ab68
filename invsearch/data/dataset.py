"""Dataset: where labelled images come from, and what a caller may want of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from invsearch.data.images import ImageData
from invsearch.data.splits import Splits

__all__ = ["DataFormat", "Dataset", "Wanted"]


@dataclass(frozen=True)
class Wanted:
    """What is wanted of a data set.

    Attributes:
        resolution: Side in pixels to resize to; None keeps the images' own.
        data_fraction: Fraction of the training images to keep, in (0, 1], every class alike.
        seed: Which fraction; training, validation and test images never change places.
        pixels: Whether to keep uint8 pixels with a ``scale``, if the images are such.
        stream: Whether to decode images when a batch is wanted, where they are encoded; None to do
            so where they would not fit into memory.
        decoder: What decodes them, a row of :data:`invsearch.plugins.DECODERS`.
    """

    resolution: int | None = None
    data_fraction: float = 1.0
    seed: int = 0
    pixels: bool = False
    stream: bool | None = None
    decoder: str = "auto"


@dataclass(frozen=True)
class Dataset:
    """A data set that has a name.

    Attributes:
        load: Reads it: every channel of the training images has mean 0 and deviation 1, or is uint8
            with a ``scale`` that does so. Raises InputError where it is damaged.
        missing: Says why it is not at hand, without reading it, or returns None.
        classes: How many classes it has: a folder with more holds another; None where any number
            will do.
        mirrors: Whether a mirrored image keeps its class.
        splits: Opens it without decoding an image, for ``invsearch data check``; None where it
            cannot.
    """

    load: Callable[[Wanted], ImageData]
    missing: Callable[[], str | None] = lambda: None
    classes: int | None = None
    mirrors: bool = True
    splits: Callable[[], Splits] | None = None


@dataclass(frozen=True)
class DataFormat:
    """A way in which a folder or a file holds labelled images.

    Attributes:
        holds: What is there, in words.
        fits: Whether a path, which exists, looks like one of these.
        missing: Says why one that looks so cannot be used, without reading it, or returns None.
        open: Opens it without decoding an image. Raises InputError where it is damaged.
    """

    holds: str
    fits: Callable[[Path], bool]
    open: Callable[[Path], Splits]
    missing: Callable[[Path], str | None] = lambda path: None
