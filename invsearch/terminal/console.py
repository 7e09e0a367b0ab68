"""Consoles on which every text is text: names, paths and messages may hold ``[brackets]``."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from rich.console import Console
from rich.text import Text

__all__ = ["make_console", "working"]


def make_console(*, stderr: bool = False, width: int | None = None) -> Console:
    """Return a console that reads no markup and no emoji codes out of what it prints.

    Args:
        stderr: Whether it writes to standard error.
        width: Columns; None for the terminal's.
    """
    return Console(stderr=stderr, width=width, markup=False, emoji=False, highlight=False)


def working(console: Console, text: str) -> AbstractContextManager[Any]:
    """Show that something is being done, for the length of a ``with`` block.

    Rich reads markup out of a plain string here, whatever the console; its other spinners are not
    ASCII.
    """
    return console.status(Text(text), spinner="line")
