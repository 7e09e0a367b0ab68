"""The table of what gives accuracy."""

from __future__ import annotations

from invsearch.accuracy.published import Published
from invsearch.accuracy.trained import Trained
from invsearch.provider import Provider

__all__ = ["PROVIDERS"]

PROVIDERS: tuple[type[Provider], ...] = (Published, Trained)
"""At most one of them serves a space file: the one that ``accuracy.source`` names."""
