"""Tiny ImageNet as it is given out: ``train/<class>/images/*`` and ``val/val_annotations.txt``.

Its test images have no labels, so the test set is half of the validation set.
"""

from __future__ import annotations

from pathlib import Path

from invsearch.data.dataset import DataFormat
from invsearch.data.formats.files import labelled_files
from invsearch.data.formats.image_folder import class_folders, part_of
from invsearch.data.splits import Labelled, Splits
from invsearch.errors import InputError

__all__ = ["FORMAT"]

_ANNOTATIONS = "val/val_annotations.txt"
_INSIDE = "tiny-imagenet-200"  # the folder that the archive makes


def _place(path: Path) -> Path:
    return path / _INSIDE if (path / _INSIDE).is_dir() else path


def _open(path: Path) -> Splits:
    place = _place(path)
    classes = tuple(folder.name for folder in class_folders(place / "train"))
    train = part_of(place / "train", classes)
    return Splits(str(place), classes, train, _validation(place, classes))


def _validation(place: Path, classes: tuple[str, ...]) -> Labelled:
    label = {name: number for number, name in enumerate(classes)}
    paths: list[Path] = []
    labels: list[int] = []
    lines = (place / _ANNOTATIONS).read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, 1):
        file, _, rest = line.partition("\t")
        name = rest.partition("\t")[0]
        if name not in label:
            raise InputError(f"{place / _ANNOTATIONS}:{number}: the class {name!r} is not in train")
        paths.append(place / "val" / "images" / file)
        labels.append(label[name])
    return labelled_files(paths, labels)


def _fits(path: Path) -> bool:
    return (_place(path) / _ANNOTATIONS).is_file() and (_place(path) / "train").is_dir()


FORMAT = DataFormat("Tiny ImageNet", _fits, _open)
