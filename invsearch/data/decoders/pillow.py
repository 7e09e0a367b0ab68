"""``pillow``: Pillow, which everything else is decoded by too."""

from invsearch.data.decoders.jpeg import Jpeg

__all__ = ["PILLOW"]

PILLOW = Jpeg("pillow")
