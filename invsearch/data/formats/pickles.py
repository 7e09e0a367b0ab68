"""CIFAR's Python version: pickles, which run what they like when they are read. Refused."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

from invsearch.data.dataset import DataFormat
from invsearch.errors import NotHereError

__all__ = ["FORMAT"]

_HALLMARKS = ("data_batch_1", "batches.meta", "cifar-10-batches-py", "cifar-100-python")
_ENDINGS = (".pkl", ".pickle", ".pt", ".pth")


def _fits(path: Path) -> bool:
    if path.is_file():
        return path.suffix in _ENDINGS
    return path.name in _HALLMARKS or any((path / name).exists() for name in _HALLMARKS)


def _missing(path: Path) -> str:
    return (
        f"{path} holds pickles, which run any code when they are read and are never read here: get "
        "CIFAR's binary version (invsearch data fetch cifar10), or store images as files, parquet "
        "or npz"
    )


def _open(path: Path) -> NoReturn:
    raise NotHereError(_missing(path))


FORMAT = DataFormat("pickles (refused)", _fits, _open, _missing)
