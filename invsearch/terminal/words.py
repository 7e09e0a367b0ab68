"""Names of others as words of ours: on one line, and in commands that can be pasted."""

from __future__ import annotations

from pathlib import Path

__all__ = ["as_argument", "printable"]


def as_argument(path: Path) -> str:
    """Return a path as a word of a command line, where a leading dash would be an option."""
    text = str(path)
    return f"./{text}" if text.startswith("-") else text


def printable(text: str) -> str:
    """Return a text with escapes for what a terminal would take as a command, or cannot show."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )
