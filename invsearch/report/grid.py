"""A table of the page as plain data, so that every table is written by one template."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Cell", "Grid"]


@dataclass(frozen=True)
class Cell:
    """A cell that is more than text.

    Attributes:
        text: What it says.
        strong: Whether it stands out.
        links: Addresses on the page with their texts; they follow the text.
        more: Whether the list of links is cut short.
        tone: ``good`` or ``bad`` where it is a verdict.
    """

    text: str = ""
    strong: bool = False
    links: tuple[tuple[str, str], ...] = ()
    more: bool = False
    tone: str = ""


@dataclass(frozen=True)
class Grid:
    """A table.

    Attributes:
        label: What a screen reader calls it.
        heads: Each column's title and its kind, a class of the style sheet: ``name``, ``text``,
            ``number``, ``reason``, ``remark`` or ``links``.
        rows: The cells.
    """

    label: str
    heads: Sequence[tuple[str, str]]
    rows: Sequence[Sequence[str | Cell]]
