"""Pillow's pictures: opened, brought to grey or colour in eight bits, and their faults said."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from invsearch.data.decoders import Jpeg
from invsearch.errors import InputError

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["GREY", "Shrink", "Source", "in_mode", "named_damage", "opened_picture"]

Source = str | bytes
"""Where an encoded image is: the path of its file, or the file itself."""

Shrink = Callable[[int, int], int]
"""From an image's width and height, by what its sides may be divided: 1, 2, 4 or 8."""

_DEEP = ("I;16", "I;16L", "I;16B", "I;16N", "I")  # Pillow before 11.3 opened PNG of 16 bits as I
GREY = ("1", "L", "LA", *_DEEP)
"""Modes of pictures without colour."""


_END = b"\xff\xd9"  # of a JPEG
_TAIL = 64  # bytes behind it that some cameras leave


def opened_picture(
    source: Source, jpeg: Jpeg | None = None, shrink: Shrink = lambda width, height: 1
) -> Image:
    """Open an image and decode it, turned as its camera says.

    Args:
        source: Where it is.
        jpeg: What decodes JPEG; None for Pillow.
        shrink: By what its sides may be divided; only JPEG is, and by no more.
    """
    from PIL import Image, ImageOps

    with Image.open(source if isinstance(source, str) else io.BytesIO(source)) as file:
        by = shrink(*file.size)
        picture: Image.Image = file
        if file.format == "JPEG":
            own = None if jpeg is None else _by(jpeg, file, source, by)
            if own is not None:
                picture = own
            elif by > 1:
                file.draft(None, (file.width // by, file.height // by))
        return ImageOps.exif_transpose(picture)  # a copy, turned or not


def _by(jpeg: Jpeg, file: Image, source: Source, by: int) -> Image | None:
    """What a decoder makes of a JPEG; None where it is left to Pillow.

    That is one of four inks, and one that is cut off: decoders but Pillow make grey of the rest.
    """
    from PIL import Image

    if jpeg.decode is None or file.mode not in ("L", "RGB"):
        return None
    data = Path(source).read_bytes() if isinstance(source, str) else source
    if _END not in data[-_TAIL:]:
        return None
    try:
        picture = Image.fromarray(jpeg.decode(data, file.mode, by))
    except RuntimeError as error:
        raise ValueError(str(error)) from error
    if "exif" in file.info:
        picture.info["exif"] = file.info["exif"]
    return picture


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
