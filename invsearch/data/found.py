"""Data sets that are not in the package: found in a folder, never downloaded without being asked.

``cifar10`` is the folder ``cifar10`` of ``$INVSEARCH_DATA``, else the folder ``data/cifar10`` of
``$INVSEARCH_SHARED``; so are its like. What a folder holds is any of
:data:`invsearch.data.formats.FORMATS`.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from invsearch.data.dataset import Dataset, Wanted
from invsearch.data.decode import image_data
from invsearch.data.formats import format_of
from invsearch.data.images import ImageData
from invsearch.data.splits import Splits
from invsearch.errors import InputError, NotHereError

__all__ = [
    "CIFAR10", "CIFAR100", "DATA", "IMAGENET", "SHARED", "TINY_IMAGENET", "home", "opened",
    "read_folder",
]  # fmt: skip

DATA, SHARED = "INVSEARCH_DATA", "INVSEARCH_SHARED"


def home(name: str) -> Path | None:
    """The folder of a named data set, which may be missing; None where no variable says."""
    places = [
        Path(os.environ[variable]).joinpath(*inside, name)
        for variable, inside in ((DATA, ()), (SHARED, ("data",)))
        if os.environ.get(variable)
    ]
    return next((place for place in places if place.exists()), places[0] if places else None)


def opened(path: Path, name: str = "", classes: int | None = None) -> Splits:
    """Open a folder or a file that holds labelled images.

    Args:
        path: Where they are.
        name: The data set that it is said to be; empty for one's own.
        classes: How many classes that has; a part of it may have fewer.

    Raises:
        InputError: If it is in no format that is known, damaged, or another data set.
    """
    splits = format_of(path).open(path)
    if classes is not None and len(splits.classes) > classes:
        raise InputError(
            f"{path} has {len(splits.classes)} classes, and {name} has {classes}: it is another "
            "data set"
        )
    return splits


def read_folder(
    path: Path, name: str, wanted: Wanted, *, classes: int | None = None, mirrors: bool = True
) -> ImageData:
    """Decode what a folder or a file holds; see :func:`opened`."""
    splits = opened(path, name, classes)
    return image_data(replace(splits, mirrors=mirrors), name, wanted)


def _found(name: str, classes: int) -> Dataset:
    def missing() -> str | None:
        folder = home(name)
        if folder is None:
            return (
                f"it is looked for in ${DATA}/{name} and ${SHARED}/data/{name}, and {DATA} is not "
                f"set and {SHARED} is not set; say accuracy.folder, or `invsearch data fetch`"
            )
        if not folder.exists():
            return f"{folder} is not a folder"
        try:
            format_of(folder)
        except InputError as error:
            return str(error)
        return None

    def there() -> Path:
        reason = missing()
        if reason is not None:
            raise NotHereError(f"data set {name!r}: {reason}")
        folder = home(name)
        assert folder is not None
        return folder

    return Dataset(
        lambda wanted: read_folder(there(), name, wanted, classes=classes),
        missing,
        classes=classes,
        splits=lambda: opened(there(), name, classes),
    )


CIFAR10 = _found("cifar10", 10)
CIFAR100 = _found("cifar100", 100)
TINY_IMAGENET = _found("tiny_imagenet", 200)
IMAGENET = _found("imagenet", 1000)
