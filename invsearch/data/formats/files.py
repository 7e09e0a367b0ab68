"""Images in files of their own."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import torch

from invsearch.data.splits import Labelled

__all__ = ["image_files", "is_image", "labelled_files"]


@cache
def _endings() -> frozenset[str]:
    from PIL import Image

    return frozenset(Image.registered_extensions())


def is_image(path: Path | str) -> bool:
    """Whether a name ends as one of an image that Pillow reads; hidden files never do."""
    stem, _, ending = str(path).rpartition(os.sep)[2].rpartition(".")
    return bool(stem) and stem[0] != "." and f".{ending.lower()}" in _endings()


def image_files(folder: Path) -> list[str]:
    """The images in a folder and in those within it, sorted as paths are.

    Without a Path for each, and without asking the disk for each: there may be a million.
    """
    found = [
        f"{place}{os.sep}{name}"
        for place, _, names in os.walk(folder)
        for name in names
        if is_image(name)
    ]
    return sorted(found, key=lambda path: path.replace(os.sep, "\0"))  # "a/b" before "a-b"


def labelled_files(paths: Sequence[Path | str], labels: Sequence[int]) -> Labelled:
    """Images in files, opened when they are decoded, turned as their camera says."""

    def path(row: int) -> str:
        return str(paths[row])

    return Labelled.encoded(torch.tensor(labels, dtype=torch.int64), path, path)
