"""Finding a data set by its name or folder and loading it, once a process."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from invsearch.data.dataset import Dataset, FolderFormat, Wanted
from invsearch.data.images import ImageData
from invsearch.data.parquet import PARQUET
from invsearch.errors import InputError, NotHereError, nearest
from invsearch.plugins import DATASETS

__all__ = ["FOLDERS", "load_dataset", "resolve_dataset"]

FOLDERS: tuple[FolderFormat, ...] = (PARQUET,)
"""What a folder may hold, the first that fits; a new format is one file and one row."""


def resolve_dataset(name: str) -> str:
    """Check that a data set is there, without reading it.

    Args:
        name: A row of :data:`invsearch.plugins.DATASETS`, or a folder in one of :data:`FOLDERS`.

    Returns:
        The name, or the folder as an absolute path: good in another working directory.

    Raises:
        NotHereError: (an InputError) If there is no such data set.
        PluginError: If it is a third party's, which cannot be imported.
    """
    if name in DATASETS:
        reason = DATASETS.get(name, Dataset).missing()
        if reason is not None:
            raise NotHereError(f"data set {name!r}: {reason}")
        return name
    _format(name)
    return str(_folder(name).resolve())


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
            ``$INVSEARCH_SHARED``), a third party's, or a folder of ``train.parquet`` and
            ``test.parquet`` with the columns ``image`` (JPEG or PNG) and ``label``.
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
    return _load(resolve_dataset(name), Wanted(resolution, data_fraction, seed, pixels))


@lru_cache(maxsize=1)  # a search trains on one data set, which may take half of the memory
def _load(name: str, wanted: Wanted) -> ImageData:
    if name in DATASETS:
        return DATASETS.get(name, Dataset).load(wanted)
    return _format(name).load(_folder(name), name, wanted)


def _folder(name: str) -> Path:
    return Path(name).expanduser()


def _format(name: str) -> FolderFormat:
    folder = _folder(name)
    if not folder.is_dir():
        raise NotHereError(
            f"data set {name!r} not found: {folder} is not a folder, and the known data sets "
            f"are {DATASETS}{nearest(name, DATASETS)}"
        )
    reasons = []
    for one in FOLDERS:
        reason = one.missing(folder)
        if reason is None:
            return one
        reasons.append(reason)
    raise NotHereError(f"data set {name!r}: {'; '.join(reasons)}")
