"""Looking into a data set: its classes, its images' sizes, and every one that is broken."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from invsearch.data.load import open_splits
from invsearch.data.masks import IGNORED
from invsearch.data.pictures import in_mode, named_damage
from invsearch.data.splits import Labelled
from invsearch.data.stream import decoding_threads
from invsearch.errors import InputError

__all__ = ["CheckedPart", "CheckedSet", "check_dataset"]

_SHOWN = 20  # lines and names: a terminal's worth; --json has all


@dataclass(frozen=True)
class CheckedPart:
    """One of a data set's three parts.

    Attributes:
        images: How many.
        per_class: How many of each class, in the order of the classes; with masks, how many that
            show it.
        sizes: How many of each (width, height).
        modes: How many of each of Pillow's modes, such as ``RGB`` and ``L``.
        broken: A line for each image that cannot be decoded.
    """

    images: int
    per_class: tuple[int, ...]
    sizes: dict[tuple[int, int], int]
    modes: dict[str, int]
    broken: tuple[str, ...]


@dataclass(frozen=True)
class CheckedSet:
    """A data set that was looked into, every image decoded.

    Attributes:
        where: The file or folder.
        classes: The classes' names.
        parts: Training, validation and test images, as they are used: split off where need be.
        problem: Why the set cannot be used though it can be read; empty if it can.
    """

    where: str
    classes: tuple[str, ...]
    parts: dict[str, CheckedPart] = field(default_factory=dict)
    problem: str = ""

    @property
    def sound(self) -> bool:
        """Whether it can be trained on."""
        return not self.problem and not any(part.broken for part in self.parts.values())

    def lines(self) -> list[str]:
        """What was found, in words."""
        told = [f"{self.where}: {len(self.classes)} classes: {_some(self.classes)}"]
        for name, part in self.parts.items():
            least, most = min(part.per_class), max(part.per_class)
            each = f"{least:,}" if least == most else f"{least:,} to {most:,}"
            told.append(f"{name}: {part.images:,} images, {each} of a class, {_sizes(part)}")
        broken = [line for part in self.parts.values() for line in part.broken]
        told += broken[:_SHOWN]
        told += [f"and {len(broken) - _SHOWN:,} more"] if len(broken) > _SHOWN else []
        told += [self.problem] if self.problem else []
        return [*told, "sound" if self.sound else f"not sound: {len(broken):,} broken images"]

    def to_json(self) -> dict[str, Any]:
        """All of it as plain data."""
        parts = {
            name: {
                "images": part.images,
                "per_class": dict(zip(self.classes, part.per_class, strict=True)),
                "sizes": [[*size, count] for size, count in part.sizes.items()],
                "modes": part.modes,
                "broken": list(part.broken),
            }
            for name, part in self.parts.items()
        }
        return {
            "where": self.where, "classes": list(self.classes), "parts": parts,
            "problem": self.problem, "sound": self.sound,
        }  # fmt: skip


def _some(names: Sequence[str]) -> str:
    more = f", ... {names[-1]}" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _sizes(part: CheckedPart) -> str:
    """Such as ``32 x 32 px, RGB``; the ends where there are several sizes."""
    if not part.sizes:
        return "none of which can be decoded"
    ordered = sorted(part.sizes, key=lambda size: size[0] * size[1])
    ends = [f"{width} x {height}" for width, height in dict.fromkeys((ordered[0], ordered[-1]))]
    return f"{' to '.join(ends)} px, {', '.join(sorted(part.modes))}"


def check_dataset(name: str, folder: str | Path | None = None) -> CheckedSet:
    """Decode every image of a data set.

    Args:
        name: As for :func:`invsearch.data.load_dataset`.
        folder: As there.

    Raises:
        InputError: If it is missing, or so damaged that its images are not even found.
    """
    splits, problem = open_splits(name, folder), ""
    try:
        splits = splits.complete()
    except InputError as error:
        problem = str(error)
    parts = {"train": splits.train, "val": splits.val, "test": splits.test}
    classes = tuple(splits.classes)
    found = {part: _checked(one, len(classes)) for part, one in parts.items() if one is not None}
    return CheckedSet(splits.where, classes, found, problem)


def _checked(part: Labelled, classes: int) -> CheckedPart:
    counts, broken = Counter[int](), []
    sizes, modes = Counter[tuple[int, int]](), Counter[str]()
    with ThreadPoolExecutor(decoding_threads()) as pool:
        for seen in pool.map(lambda row: _seen(part, row, classes), range(len(part))):
            counts.update(seen.classes)
            if seen.size is None:
                broken.append(seen.problem)
            else:
                sizes[seen.size] += 1
                modes[seen.mode] += 1
    return CheckedPart(
        len(part),
        tuple(counts[label] for label in range(classes)),
        dict(sizes),
        dict(modes),
        tuple(broken),
    )


@dataclass(frozen=True)
class _Seen:
    """What an image showed; without a size it is broken."""

    classes: tuple[int, ...]
    size: tuple[int, int] | None = None
    mode: str = ""
    problem: str = ""


def _seen(part: Labelled, row: int, classes: int) -> _Seen:
    try:
        with named_damage(part.name(row)):
            picture = part.picture(row)
            mode = picture.mode
            size = in_mode(picture, "RGB").size
        return _Seen(_shown(part, row, size, classes), size, mode)
    except InputError as error:
        own = () if part.masks else (int(part.labels[row]),)
        return _Seen(own, problem=str(error))


def _shown(part: Labelled, row: int, size: tuple[int, int], classes: int) -> tuple[int, ...]:
    """The classes of an image: its own, or those of its pixels."""
    if part.masks is None:
        return (int(part.labels[row]),)
    values = np.unique(np.asarray(part.masks.decoded(row, size, classes)))
    return tuple(int(value) for value in values if value != IGNORED)
