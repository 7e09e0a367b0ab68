"""Jpeg: one way to decode JPEG; every other image is Pillow's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from invsearch.errors import InputError, NotHereError
from invsearch.plugins import DECODERS

__all__ = ["Jpeg", "decoder_at_hand", "jpeg_decoder"]


@dataclass(frozen=True)
class Jpeg:
    """One way to decode JPEG.

    Attributes:
        name: What it is told apart by: numbers of two decoders differ by rounding.
        decode: From a whole file's bytes, its mode (``L`` or ``RGB``) and by what its sides may be
            divided (1, 2, 4 or 8) its pixels, uint8 (H, W) or (H, W, 3); it may divide by less.
            Raises ValueError or RuntimeError where the file is damaged. Called by several threads
            at once. None for Pillow.
        missing: Says in one line why it is not at hand, and the way out, or returns None.
    """

    name: str
    decode: Callable[[bytes, str, int], NDArray[np.uint8]] | None = None
    missing: Callable[[], str | None] = lambda: None


def decoder_at_hand(name: str) -> str:
    """The name itself, or Pillow's where that decoder is not here: it differs by rounding alone."""
    try:
        jpeg_decoder(name)
    except InputError:
        return "pillow"
    return name


def jpeg_decoder(name: str) -> Jpeg:
    """The decoder of a name.

    Raises:
        NotHereError: (an InputError) If it is not installed.
        InputError: If there is none of that name.
    """
    row = DECODERS.get(name, Jpeg)
    reason = row.missing()
    if reason is not None:
        raise NotHereError(f"accuracy.decoder {name}: {reason}; pillow is always here")
    return row
