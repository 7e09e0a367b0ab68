"""Images and masks: ``images/{train,val,test}/*`` and ``masks/{train,val,test}/*.png``.

A mask has its image's name, and the number of its class in each pixel, 255 for none. The file
``classes.txt`` names the classes, one a line; without it they are numbered up to the largest of the
training masks, which are all decoded for it. What is missing of val and test is split off, as
everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from invsearch.data.dataset import DataFormat
from invsearch.data.formats.files import is_image, labelled_files
from invsearch.data.masks import IGNORED, Masks
from invsearch.data.splits import Labelled, Splits
from invsearch.errors import InputError

__all__ = ["FORMAT"]

_IMAGES, _MASKS, _CLASSES = "images", "masks", "classes.txt"
_ENDING = ".png"


def _open(path: Path) -> Splits:
    """Open a folder of images and masks.

    Raises:
        InputError: If an image has no mask, or the classes are none.
    """
    parts = {
        name: _part(path, name)
        for name in ("train", "val", "test")
        if (path / _IMAGES / name).is_dir()
    }
    train = parts["train"]
    classes = _named(path / _CLASSES) or _numbered(train, path)
    return Splits(str(path), classes, train, parts.get("val"), parts.get("test"))


def _part(path: Path, name: str) -> Labelled:
    folder = path / _IMAGES / name
    images = sorted(one for one in folder.rglob("*") if one.is_file() and is_image(one))
    if not images:
        raise InputError(f"{folder}: holds no image")
    masks = [
        path / _MASKS / name / image.relative_to(folder).with_suffix(_ENDING) for image in images
    ]
    for image, mask in zip(images, masks, strict=True):
        if not mask.is_file():
            raise InputError(f"{image}: the image has no mask {mask}")
    files = labelled_files(images, [0] * len(images))
    return replace(files, masks=_files(masks))


def _files(paths: Sequence[Path]) -> Masks:
    def picture(row: int) -> Any:
        from PIL import Image

        with Image.open(paths[row]) as file:
            return file.copy()

    return Masks(picture, lambda row: str(paths[row]))


def _named(file: Path) -> tuple[str, ...]:
    """The classes' names; none where the file is not there."""
    if not file.is_file():
        return ()
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: cannot be read as text: {error}") from error
    names = tuple(line.strip() for line in lines if line.strip())
    twice = [name for number, name in enumerate(names) if name in names[:number]]
    if twice:
        raise InputError(f"{file}: the class {twice[0]!r} stands there twice")
    if not 0 < len(names) <= IGNORED:
        raise InputError(f"{file}: names {len(names)} classes; there can be 1 to {IGNORED}")
    return names


def _numbered(train: Labelled, path: Path) -> tuple[str, ...]:
    assert train.masks is not None
    largest = train.masks.largest(len(train))
    if largest < 0:
        raise InputError(f"{path / _MASKS / 'train'}: no pixel has a class: all are {IGNORED}")
    return tuple(str(number) for number in range(largest + 1))


def _missing(path: Path) -> str | None:
    train = path / _IMAGES / "train"
    return None if train.is_dir() else f"{path} has no folder {_IMAGES}/train"


FORMAT = DataFormat(
    "a folder of images/train/* and masks/train/*.png",
    lambda path: all((path / name).is_dir() for name in (_IMAGES, _MASKS)),
    _open,
    _missing,
)
