"""A folder of images: ``train/<class>/*``, ``val/<class>/*``, ``test/<class>/*``.

Only ``train`` is needed; a folder of the classes alone is its own ``train``. Classes are sorted by
name. Images may lie in folders within their class's; files that are no images by name are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from invsearch.data.dataset import DataFormat
from invsearch.data.formats.files import image_files, is_image, labelled_files
from invsearch.data.splits import Labelled, Splits
from invsearch.errors import InputError, nearest

__all__ = ["FORMAT", "class_folders", "part_of"]


def class_folders(folder: Path) -> list[Path]:
    """The folders of a part's classes, sorted by name."""
    return sorted(path for path in folder.iterdir() if path.is_dir() and path.name[0] != ".")


def part_of(folder: Path, classes: Sequence[str]) -> Labelled:
    """The images in a part's class folders.

    Raises:
        InputError: If a class is not in the training set, or has no image.
    """
    label = {name: number for number, name in enumerate(classes)}
    paths: list[str] = []
    labels: list[int] = []
    for place in class_folders(folder):
        if place.name not in label:
            raise InputError(
                f"{place}: the class {place.name!r} is not in train{nearest(place.name, classes)}"
            )
        found = image_files(place)
        if not found:
            raise InputError(f"{place}: the class {place.name!r} holds no image")
        paths += found
        labels += [label[place.name]] * len(found)
    if not paths:
        raise InputError(f"{folder}: holds no folder of a class")
    return labelled_files(paths, labels)


def _fits(path: Path) -> bool:
    if not path.is_dir():
        return False
    if (path / "train").is_dir():
        return True
    folders = class_folders(path)
    return bool(folders) and any(is_image(file) for one in folders for file in one.iterdir())


def _open(path: Path) -> Splits:
    train = path / "train" if (path / "train").is_dir() else path
    classes = tuple(folder.name for folder in class_folders(train))
    val, test = (
        part_of(path / name, classes) if (path / name).is_dir() and train != path else None
        for name in ("val", "test")
    )
    return Splits(str(path), classes, part_of(train, classes), val, test)


FORMAT = DataFormat("a folder of images train/<class>/*, val/<class>/*", _fits, _open)
