"""How much memory there is."""

from __future__ import annotations

import os

__all__ = ["machine_memory"]


def machine_memory() -> int:
    """This machine's memory in bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
