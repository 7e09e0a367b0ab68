"""Images in files of their own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from invsearch.data.splits import Labelled

__all__ = ["is_image", "labelled_files"]


def is_image(path: Path) -> bool:
    """Whether a name ends as one of an image that Pillow reads; hidden files never do."""
    from PIL import Image

    return path.suffix.lower() in Image.registered_extensions() and path.name[0] != "."


def labelled_files(paths: Sequence[Path], labels: Sequence[int]) -> Labelled:
    """Images in files, opened when they are decoded, turned as their camera says."""

    def picture(row: int) -> Any:
        from PIL import Image, ImageOps

        with Image.open(paths[row]) as file:
            return ImageOps.exif_transpose(file).copy()

    return Labelled(torch.tensor(labels, dtype=torch.int64), picture, lambda row: str(paths[row]))
