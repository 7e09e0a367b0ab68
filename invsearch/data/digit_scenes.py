"""``digit_scenes``: handwritten digits on textured grounds, with the class of every pixel.

Synthetic scenes of real digits, for trying segmentation where no download is wanted: each shows
two to four of scikit-learn's digits, in sizes, places and shades of their own, on a ground of
clouds and grain. They are made anew from a seed in every process, always the same. The digits of
the training scenes are training images of ``digits``, and so on: no scene of the validation or the
test set shows one that was trained on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from invsearch.data.dataset import Dataset
from invsearch.data.decode import image_data
from invsearch.data.digits import digit_parts
from invsearch.data.masks import IGNORED, Masks
from invsearch.data.splits import Labelled, Splits

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["DIGIT_SCENES"]

Pixels = NDArray[np.uint8]

_NAME = "digit_scenes"
_SCENES = {"train": 600, "val": 200, "test": 200}  # made in a second; an epoch of some seconds
_SEEDS = {"train": 1, "val": 2, "test": 3}  # any, and never others: runs are compared on them
_CELLS = 2  # along a side; a digit has one to itself, for digits of one shade cannot be told apart
_SIDE = 48  # pixels: the smallest in which four digits of a legible size have room
_DIGITS = (2, 5)  # in a scene, the end excluded
_SIZES = (14, 25)  # of a digit in pixels, whose own are 8: up to a whole cell
_CLOUDS = 6  # cells of the ground's clouds along a side
_GROUND = (70, 180)  # levels of the ground, so that light and dark ink both stand out
_GRAIN = 12  # levels of its noise, either way
_INKS = ((0, 40), (215, 256))  # levels, dark and light, 30 off the ground's at least
_INKED, _FAINT = 112, 48  # of 255: above is a digit's pixel, between the two nobody can say


@dataclass(frozen=True)
class _Scene:
    """An image and the class of each pixel; uint8 (side, side) both."""

    image: Pixels
    mask: Pixels


def _scene(rng: np.random.RandomState, digits: Pixels, labels: NDArray[np.int64]) -> _Scene:
    """Paint one.

    Args:
        rng: The old generator of NumPy's, whose numbers are the same in every version.
        digits: (N, 8, 8), ink from 0 to 255.
        labels: (N,), 0 to 9.
    """
    image, mask = _ground(rng), np.zeros((_SIDE, _SIDE), np.uint8)
    cell = _SIDE // _CELLS
    for number in rng.permutation(_CELLS**2)[: rng.randint(*_DIGITS)]:
        which, size = rng.randint(len(digits)), rng.randint(*_SIZES)
        row, column = divmod(int(number), _CELLS)
        down, right = rng.randint(0, cell - size + 1, size=2)
        top, left = row * cell + down, column * cell + right
        shade = rng.randint(*_INKS[rng.randint(len(_INKS))])
        ink = _resized(digits[which], size)
        place = np.s_[top : top + size, left : left + size]
        share = ink.astype(np.int32)
        mixed = (share * shade + (255 - share) * image[place].astype(np.int32) + 127) // 255
        image[place] = mixed.astype(np.uint8)
        mask[place][ink > _FAINT] = IGNORED
        mask[place][ink > _INKED] = 1 + labels[which]
    return _Scene(image, mask)


def _ground(rng: np.random.RandomState) -> Pixels:
    clouds = _resized(rng.randint(*_GROUND, size=(_CLOUDS, _CLOUDS)).astype(np.uint8), _SIDE)
    grain = rng.randint(-_GRAIN, _GRAIN + 1, size=clouds.shape)
    return np.asarray((clouds + grain).clip(0, 255), dtype=np.uint8)


def _resized(pixels: Pixels, side: int) -> Pixels:
    """Bilinear, in Pillow's whole numbers: the same on every machine."""
    from PIL import Image
    from PIL.Image import Resampling

    return np.asarray(Image.fromarray(pixels).resize((side, side), Resampling.BILINEAR))


@lru_cache(maxsize=1)  # 5 MB, made in about a second
def _scenes() -> dict[str, tuple[_Scene, ...]]:
    return {part: tuple(_painted(part)) for part in _SCENES}


def _painted(part: str) -> Iterator[_Scene]:
    images, labels = digit_parts(part)
    ink = (images * (255 / 16)).round().astype(np.uint8)
    rng = np.random.RandomState(_SEEDS[part])
    return (_scene(rng, ink, labels) for _ in range(_SCENES[part]))


def _splits() -> Splits:
    parts = {part: _labelled(part, scenes) for part, scenes in _scenes().items()}
    classes = ("ground", *"0123456789")
    return Splits(_NAME, classes, parts["train"], parts["val"], parts["test"], mirrors=False)


def _labelled(part: str, scenes: tuple[_Scene, ...]) -> Labelled:
    def name(row: int) -> str:
        return f"{_NAME}/{part}/{row}"

    masks = Masks(lambda row: _picture(scenes[row].mask), name)
    labels = torch.zeros(len(scenes), dtype=torch.int64)
    return Labelled(labels, lambda row: _picture(scenes[row].image), name, masks)


def _picture(pixels: Pixels) -> Image:
    from PIL import Image

    return Image.fromarray(pixels)


DIGIT_SCENES = Dataset(
    lambda wanted: image_data(_splits(), _NAME, wanted), classes=11, mirrors=False, splits=_splits
)
