"""``torchvision``: torchvision's own decoder of JPEG, where the installed one was built with it."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import torch
from numpy.typing import NDArray

from invsearch.data.decoders.jpeg import Jpeg

__all__ = ["TORCHVISION"]


def _missing() -> str | None:
    if find_spec("torchvision") is None:
        return "torchvision is not installed: pip install 'invsearch[detection]'"
    try:
        import torchvision.io  # noqa: F401

        torch.ops.image.decode_jpeg  # noqa: B018
    except (ImportError, RuntimeError, AttributeError) as error:  # one of another torch
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        return f"the installed torchvision does not decode with this torch ({reason})"
    return None


def _decode(data: bytes, mode: str, shrink: int) -> NDArray[np.uint8]:
    from torchvision.io import ImageReadMode, decode_jpeg

    own = ImageReadMode.GRAY if mode == "L" else ImageReadMode.RGB
    pixels = decode_jpeg(torch.frombuffer(bytearray(data), dtype=torch.uint8), mode=own)
    image: NDArray[np.uint8] = pixels.permute(1, 2, 0).contiguous().numpy()
    return image[:, :, 0] if mode == "L" else image


TORCHVISION = Jpeg("torchvision", _decode, _missing)
