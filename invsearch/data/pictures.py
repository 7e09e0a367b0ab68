"""Pillow's pictures: brought to grey or colour in eight bits, and what is wrong with one said."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from invsearch.errors import InputError

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["GREY", "in_mode", "named_damage"]

_DEEP = ("I;16", "I;16L", "I;16B", "I;16N", "I")  # Pillow before 11.3 opened PNG of 16 bits as I
GREY = ("1", "L", "LA", *_DEEP)
"""Modes of pictures without colour."""


def in_mode(picture: Image, mode: str) -> Image:
    """A picture in Pillow's mode ``L`` or ``RGB``.

    Of 16 bits the upper eight are taken: Pillow alone would make white of all but the darkest.

    Args:
        picture: Of any mode.
        mode: ``L`` or ``RGB``.

    Raises:
        ValueError: If its pixels are no whole numbers of 16 bits or less.
    """
    from PIL import Image

    picture.load()
    picture.info.pop("transparency", None)  # Pillow warns of some that converting loses it
    if picture.mode in _DEEP:
        values = np.asarray(picture).astype(np.int64)
        if values.min() < 0 or values.max() > 0xFFFF:
            raise ValueError(f"pixels are from {values.min()} to {values.max()}, not of 16 bits")
        picture = Image.fromarray((values >> 8).astype(np.uint8))
    if picture.mode == "F":
        raise ValueError("pixels are floating-point numbers: store them in 8 or 16 bits")
    return picture if picture.mode == mode else picture.convert(mode)


@contextmanager
def named_damage(name: str) -> Iterator[None]:
    """Say of what Pillow raises, in one line, which image it is about.

    Raises:
        InputError: If the image is broken.
    """
    from PIL import UnidentifiedImageError
    from PIL.Image import DecompressionBombError

    try:
        yield
    except (UnidentifiedImageError, TypeError) as error:
        reason = "not a JPEG or PNG image, nor another that can be read"
        raise InputError(f"{name}: {reason}: {_line(error)}") from error
    except (OSError, SyntaxError, ValueError, DecompressionBombError) as error:
        raise InputError(f"{name}: damaged image: {_line(error)}") from error


def _line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
