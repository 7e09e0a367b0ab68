"""Cut: the box of an image that is wanted, taken from the image as it is in its file.

A box is said in the pixels of the square that a network sees; it is cut from as many pixels as the
image has there. From an image that was resized before, a small box would be enlarged and blurred.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["SHRINKS", "Cut"]

SHRINKS = (8, 4, 2)  # what JPEG's blocks of 8 x 8 can be decoded at a part of their side by


@dataclass(frozen=True)
class Cut:
    """A box of an image's middle square.

    Attributes:
        top: Its first row, in pixels of the square that a network sees.
        left: Its first column.
        height: Its rows.
        width: Its columns.
        side: Of that square.
    """

    top: int
    left: int
    height: int
    width: int
    side: int

    def within(self, width: int, height: int) -> tuple[int, int, int, int]:
        """The same box in an image's own pixels, whole ones, as Pillow has it.

        Args:
            width: Of the image.
            height: Of the image.

        Returns:
            Left, top, right and bottom.
        """
        square = min(width, height)
        left, right = self._ends(self.left, self.width, square)
        top, bottom = self._ends(self.top, self.height, square)
        x, y = (width - square) // 2, (height - square) // 2
        return x + left, y + top, x + right, y + bottom

    def shrink(self, width: int, height: int) -> int:
        """By what the sides of an image may be divided while the box keeps a pixel for each seen.

        Args:
            width: Of the image.
            height: Of the image.
        """
        shown = min(self.width, self.height) * min(width, height) // self.side
        return next((by for by in SHRINKS if shown // by >= self.side), 1)

    def _ends(self, first: int, length: int, square: int) -> tuple[int, int]:
        """Rounded, and of a pixel at least: an image may be smaller than what is seen of it."""
        start = min(round(first * square / self.side), square - 1)
        return start, max(start + 1, round((first + length) * square / self.side))
