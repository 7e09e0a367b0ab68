"""Finding a data set by its name or folder and loading it, once a process."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

from invsearch.data.digits import load_digits
from invsearch.data.images import ImageData
from invsearch.data.parquet import FILES, load_parquet
from invsearch.errors import InputError, nearest

__all__ = ["DATASETS", "load_dataset", "resolve_dataset"]

DATASETS = ("digits", "cifar10")
_SHARED = "INVSEARCH_SHARED"


def resolve_dataset(name: str) -> str:
    """Check that a data set is there, without reading it.

    Args:
        name: One of :data:`DATASETS`, or a folder of ``train.parquet`` and ``test.parquet``.

    Returns:
        The name, or the folder as an absolute path: good in another working directory.

    Raises:
        InputError: If there is no such data set.
    """
    folder = _folder(name)
    if folder is None:
        return name
    missing = [file for file in FILES if not (folder / file).is_file()]
    if missing:
        raise InputError(f"data set {name!r}: {folder} has no file {missing[0]}")
    return name if name in DATASETS else str(folder.resolve())


def load_dataset(
    name: str,
    *,
    resolution: int | None = None,
    data_fraction: float = 1.0,
    seed: int = 0,
    pixels: bool = False,
) -> ImageData:
    """Load a data set into memory, normalised; the last one loaded is kept and shared.

    Args:
        name: ``digits`` (in scikit-learn), ``cifar10`` (the folder ``data/cifar10`` of
            ``$INVSEARCH_SHARED``), or a folder of ``train.parquet`` and ``test.parquet`` with the
            columns ``image`` (JPEG or PNG) and ``label``.
        resolution: Side in pixels to resize to; None keeps the images' own.
        data_fraction: Fraction of the training images to keep, in (0, 1], every class alike.
        seed: Which fraction; training and validation images never change places.
        pixels: Whether to keep uint8 pixels with a ``scale``, for training on a GPU; digits, which
            are no such pixels, stay normalised.

    Returns:
        The images with as many channels as they have on disk.

    Raises:
        InputError: If the data set is missing or damaged, or an argument is out of range.
    """
    if not 0 < data_fraction <= 1:
        raise InputError(f"data_fraction {data_fraction} is not in (0, 1]")
    if resolution is not None and resolution < 1:
        raise InputError(f"resolution {resolution} is not a positive number of pixels")
    return _load(resolve_dataset(name), resolution, data_fraction, seed, pixels)


@lru_cache(maxsize=1)
def _load(
    name: str, resolution: int | None, data_fraction: float, seed: int, pixels: bool
) -> ImageData:
    folder = _folder(name)
    if folder is None:
        return load_digits(resolution, data_fraction, seed)
    return load_parquet(
        folder,
        name=name,
        resolution=resolution,
        data_fraction=data_fraction,
        seed=seed,
        pixels=pixels,
    )


def _folder(name: str) -> Path | None:
    """Return the folder a data set lies in; None for digits."""
    if name == "digits":
        return None
    if name == "cifar10":
        shared = os.environ.get(_SHARED)
        if not shared:
            raise InputError(
                f"data set 'cifar10' is looked for in ${_SHARED}/data/cifar10, "
                f"and {_SHARED} is not set; name a folder of {' and '.join(FILES)} instead"
            )
        folder = Path(shared) / "data" / "cifar10"
    else:
        folder = Path(name).expanduser()
    if not folder.is_dir():
        raise InputError(
            f"data set {name!r} not found: {folder} is not a folder, and the known data sets "
            f"are {', '.join(DATASETS)}{nearest(name, DATASETS)}"
        )
    return folder
