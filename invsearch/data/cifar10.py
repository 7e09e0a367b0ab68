"""``cifar10``: CIFAR-10 as parquet, in ``$INVSEARCH_SHARED/data/cifar10``."""

from __future__ import annotations

import os
from pathlib import Path

from invsearch.data.dataset import Dataset, Wanted
from invsearch.data.images import ImageData
from invsearch.data.parquet import PARQUET
from invsearch.errors import NotHereError

__all__ = ["CIFAR10"]

_SHARED = "INVSEARCH_SHARED"


def _folder() -> Path | None:
    shared = os.environ.get(_SHARED)
    return Path(shared) / "data" / "cifar10" if shared else None


def _missing() -> str | None:
    folder = _folder()
    if folder is None:
        return (
            f"it is looked for in ${_SHARED}/data/cifar10, and {_SHARED} is not set; name a folder "
            f"of {PARQUET.holds} instead"
        )
    return PARQUET.missing(folder) if folder.is_dir() else f"{folder} is not a folder"


def _load(wanted: Wanted) -> ImageData:
    folder = _folder()
    if folder is None:
        raise NotHereError(f"data set 'cifar10': {_missing()}")
    return PARQUET.load(folder, "cifar10", wanted)


CIFAR10 = Dataset(_load, _missing)
