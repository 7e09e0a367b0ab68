"""``turbojpeg``: libjpeg-turbo through PyTurboJPEG, without a copy that Pillow makes."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from invsearch.data.decoders.jpeg import Jpeg

__all__ = ["TURBOJPEG"]


@cache
def _library() -> Any:
    from turbojpeg import TurboJPEG

    return TurboJPEG()


def _missing() -> str | None:
    if find_spec("turbojpeg") is None:
        return "PyTurboJPEG is not installed: pip install 'invsearch[turbojpeg]'"
    try:
        _library()
    except (ImportError, OSError, RuntimeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        return f"PyTurboJPEG finds no libjpeg-turbo that it can use ({reason})"
    return None


def _decode(data: bytes, mode: str, shrink: int) -> NDArray[np.uint8]:
    from turbojpeg import TJPF_GRAY, TJPF_RGB

    form, scale = (TJPF_GRAY if mode == "L" else TJPF_RGB), (1, shrink)
    try:
        pixels = _library().decode(data, pixel_format=form, scaling_factor=scale)
    except OSError as error:
        raise ValueError(str(error)) from error
    image = np.asarray(pixels, dtype=np.uint8)
    return image.reshape(image.shape[:2]) if mode == "L" else image


TURBOJPEG = Jpeg("turbojpeg", _decode, _missing)
