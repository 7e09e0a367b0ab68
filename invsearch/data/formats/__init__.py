"""What a folder or a file may hold: a file and a row each.

Nothing is ever unpickled: CIFAR's Python version is recognised, and refused.
"""

from __future__ import annotations

from pathlib import Path

from invsearch.data.dataset import DataFormat
from invsearch.data.formats import (
    arrays,
    cifar_binary,
    idx,
    image_folder,
    image_masks,
    parquet,
    pickles,
    tables,
    tiny_imagenet,
)
from invsearch.errors import NotHereError

__all__ = ["FORMATS", "format_of"]

FORMATS: tuple[DataFormat, ...] = (
    parquet.FORMAT,
    arrays.FORMAT,
    tables.FORMAT,
    cifar_binary.FORMAT,
    idx.FORMAT,
    tiny_imagenet.FORMAT,
    pickles.FORMAT,
    image_masks.FORMAT,
    image_folder.FORMAT,
)
"""The first that a path looks like; folders of images, which look like little, are the last."""


def format_of(path: Path) -> DataFormat:
    """Return the format of a path that exists.

    Raises:
        NotHereError: (an InputError) If it is in none, or part of it is missing.
    """
    for one in FORMATS:
        if one.fits(path):
            reason = one.missing(path)
            if reason is not None:
                raise NotHereError(reason)
            return one
    known = "; ".join(one.holds for one in FORMATS if one is not pickles.FORMAT)
    raise NotHereError(f"{path} has no file train.parquet, nor other labelled images: {known}")
