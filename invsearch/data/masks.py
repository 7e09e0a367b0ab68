"""Masks: label maps of images, the class of every pixel as its value, none of them decoded yet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from invsearch.data.pictures import named_damage
from invsearch.errors import InputError
from invsearch.metrics import IGNORED

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["IGNORED", "Masks"]

_MODES = ("1", "L", "P", "I;16", "I")  # one number a pixel; of a palette the number, not the colour


@dataclass(frozen=True, eq=False)
class Masks:
    """The label maps of some images.

    Attributes:
        picture: Opens the label map of a row.
        name: Names it, for messages: ``street/masks/train/7.png``.
    """

    picture: Callable[[int], Image]
    name: Callable[[int], str]

    def at(self, rows: Sequence[int]) -> Masks:
        """Some of them."""
        return Masks(lambda row: self.picture(rows[row]), lambda row: self.name(rows[row]))

    def decoded(self, row: int, size: tuple[int, int] | None, classes: int | None) -> Image:
        """Decode a label map to one of Pillow's mode ``L``.

        Args:
            row: Which.
            size: (width, height) of its image; None to let it be of any.
            classes: How many there are; None to let them be any but :data:`IGNORED`.

        Raises:
            InputError: In one line that names the mask, if it is broken, of another size than its
                image, or has a pixel that is of no class.
        """
        from PIL import Image

        name = self.name(row)
        with named_damage(name):
            picture = self.picture(row)
            picture.load()
        if picture.mode not in _MODES:
            raise InputError(
                f"{name}: the mask is of mode {picture.mode}, colours; a mask has the number of "
                "its class in each pixel (mode L or P)"
            )
        if size is not None and picture.size != size:
            raise InputError(
                f"{name}: the mask is {picture.width} x {picture.height}, its image {size[0]} x "
                f"{size[1]}"
            )
        values = np.asarray(picture).astype(np.int64)
        _check_classes(values, IGNORED if classes is None else classes, name)
        return Image.fromarray(values.astype(np.uint8))

    def largest(self, rows: int) -> int:
        """The largest class of any pixel of the first ``rows`` masks; -1 where there is none.

        A broken mask is passed over: whoever uses it, or looks into the set, hears of it.

        Raises:
            InputError: If all are broken; it names the first.
        """
        found, broken = -1, []
        for row in range(rows):
            try:
                values = np.asarray(self.decoded(row, None, None)).astype(np.int64)
            except InputError as error:
                broken.append(error)
            else:
                found = max(found, int(values[values != IGNORED].max(initial=-1)))
        if len(broken) == rows:
            raise broken[0]
        return found


def _check_classes(values: NDArray[np.int64], classes: int, name: str) -> None:
    wrong = ((values < 0) | (values >= classes)) & (values != IGNORED)
    if wrong.any():
        y, x = (int(place) for place in np.argwhere(wrong)[0])
        raise InputError(
            f"{name}: the pixel at x {x}, y {y} has the value {values[y, x]}, which is out of "
            f"range: classes count from 0 to {classes - 1}, and {IGNORED} is of none"
        )
