"""Finding a data set by its name, folder, file or function and loading it, once a process."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from invsearch.data.dataset import Dataset, Wanted
from invsearch.data.decode import image_data
from invsearch.data.decoders import jpeg_decoder
from invsearch.data.formats import format_of
from invsearch.data.found import opened, read_folder
from invsearch.data.function import function_splits, is_function, named_function
from invsearch.data.images import ImageData
from invsearch.data.splits import Splits, with_test
from invsearch.errors import InputError, NotHereError, nearest
from invsearch.plugins import DATASETS

__all__ = ["load_dataset", "open_splits", "resolve_dataset"]


def resolve_dataset(name: str, folder: str | Path | None = None) -> str:
    """Check that a data set is there, without reading it.

    Args:
        name: A row of :data:`invsearch.plugins.DATASETS`; a folder or a file in one of
            :data:`invsearch.data.formats.FORMATS`; or a function, ``package.module:function``.
        folder: Where a named data set is, if not where it is looked for.

    Returns:
        The name, or the folder as an absolute path: good in another working directory.

    Raises:
        NotHereError: (an InputError) If there is no such data set.
        PluginError: If it is a third party's, which cannot be imported.
    """
    if name in DATASETS:
        row = DATASETS.get(name, Dataset)
        reason = _reason(_path(folder)) if folder is not None else row.missing()
        if reason is not None:
            raise NotHereError(f"data set {name!r}: {reason}")
        return name
    if folder is not None:
        raise InputError(
            f"data set {name!r}: a folder goes with a named data set, and {name!r} is none of "
            f"{DATASETS}{nearest(name, DATASETS)}"
        )
    if is_function(name) and not _path(name).exists():
        named_function(name)
        return name
    path = _existing(name)
    reason = _reason(path)
    if reason is not None:
        raise NotHereError(f"data set {name!r}: {reason}")
    return str(path.resolve())


def load_dataset(
    name: str,
    *,
    folder: str | Path | None = None,
    resolution: int | None = None,
    data_fraction: float = 1.0,
    seed: int = 0,
    pixels: bool = False,
    stream: bool | None = None,
    decoder: str = "auto",
) -> ImageData:
    """Load a data set into memory, normalised; the last one loaded is kept and shared.

    Every data set has a training, a validation and a test set. What it lacks of the last two is
    split off, always alike; see :class:`invsearch.data.splits.Splits`. The test images are decoded
    when they are asked for.

    Args:
        name: As for :func:`resolve_dataset`: ``digits`` and ``fashion_mnist`` are in the package,
            ``cifar10`` and its like are looked for in ``$INVSEARCH_DATA``.
        folder: Where a named data set is, if not there.
        resolution: Side in pixels to resize to; None keeps the images' own.
        data_fraction: Fraction of the training images to keep, in (0, 1], every class alike.
        seed: Which fraction; training, validation and test images never change places.
        pixels: Whether to keep uint8 pixels with a ``scale``, for training on a GPU; digits, which
            are no such pixels, stay normalised. Also done where normalised images would take more
            than half of the memory.
        stream: Whether images are decoded when a batch of them is wanted; None to do so where they
            would take more than half of the memory. What is in memory anyway, as digits are, stays.
        decoder: What decodes them, a row of :data:`invsearch.plugins.DECODERS`.

    Returns:
        The images with as many channels as they have on disk.

    Raises:
        InputError: If the data set is missing or damaged, an argument is out of range, or the
            decoder is not installed.
    """
    if not 0 < data_fraction <= 1:
        raise InputError(f"data_fraction {data_fraction} is not in (0, 1]")
    if resolution is not None and resolution < 1:
        raise InputError(f"resolution {resolution} is not a positive number of pixels")
    jpeg_decoder(decoder)  # also where a data set has no JPEG: a setting that is no use is told
    place = None if folder is None else str(_path(folder).resolve())
    resolved = resolve_dataset(name, folder)
    return _load(resolved, place, Wanted(resolution, data_fraction, seed, pixels, stream, decoder))


def open_splits(name: str, folder: str | Path | None = None) -> Splits:
    """Open a data set without decoding an image; as :func:`load_dataset` finds it.

    Raises:
        InputError: If it is missing or damaged, or a third party's that cannot be opened so.
    """
    name = resolve_dataset(name, folder)
    if name in DATASETS:
        row = DATASETS.get(name, Dataset)
        if folder is not None:
            return opened(_path(folder), name, row.classes)
        if row.splits is None:
            raise InputError(f"data set {name!r} is no images in files: there is nothing to check")
        return row.splits()
    return function_splits(name) if is_function(name) else opened(Path(name))


@lru_cache(maxsize=1)  # a search trains on one data set, which may take half of the memory
def _load(name: str, folder: str | None, wanted: Wanted) -> ImageData:
    if name in DATASETS:
        row = DATASETS.get(name, Dataset)
        if folder is None:
            return with_test(row.load(wanted))
        place = Path(folder)
        return read_folder(place, name, wanted, classes=row.classes, mirrors=row.mirrors)
    if is_function(name):
        return image_data(function_splits(name), name, wanted)
    return read_folder(Path(name), name, wanted)


def _path(name: str | Path) -> Path:
    return Path(name).expanduser()


def _reason(path: Path) -> str | None:
    """Why a path cannot be used; None if it can."""
    if not path.exists():
        return f"there is no folder or file {path}"
    try:
        format_of(path)
    except NotHereError as error:
        return str(error)
    return None


def _existing(name: str) -> Path:
    path = _path(name)
    if not path.exists():
        raise NotHereError(
            f"data set {name!r} not found: {path} is not a folder or file, and the known data "
            f"sets are {DATASETS}{nearest(name, DATASETS)}"
        )
    return path
