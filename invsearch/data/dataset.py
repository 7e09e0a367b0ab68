"""Dataset: where labelled images come from, and what a caller may want of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from invsearch.data.images import ImageData

__all__ = ["Dataset", "FolderFormat", "Wanted"]


@dataclass(frozen=True)
class Wanted:
    """What is wanted of a data set.

    Attributes:
        resolution: Side in pixels to resize to; None keeps the images' own.
        data_fraction: Fraction of the training images to keep, in (0, 1], every class alike.
        seed: Which fraction; training and validation images never change places.
        pixels: Whether to keep uint8 pixels with a ``scale``, if the images are such.
    """

    resolution: int | None = None
    data_fraction: float = 1.0
    seed: int = 0
    pixels: bool = False


@dataclass(frozen=True)
class Dataset:
    """A data set that has a name.

    Attributes:
        load: Reads it: every channel of the training images has mean 0 and deviation 1, or is uint8
            with a ``scale`` that does so. Raises InputError where it is damaged.
        missing: Says why it is not at hand, without reading it, or returns None.
    """

    load: Callable[[Wanted], ImageData]
    missing: Callable[[], str | None] = lambda: None


@dataclass(frozen=True)
class FolderFormat:
    """A way in which a folder holds labelled images.

    Attributes:
        holds: What the folder holds, in words.
        missing: Says why a folder (which exists) is not one of these, or returns None.
        load: Reads a folder; its second argument is the name that the images get.
    """

    holds: str
    missing: Callable[[Path], str | None]
    load: Callable[[Path, str, Wanted], ImageData]
