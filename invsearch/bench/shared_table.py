"""Tables of others that are not shipped, in the folder that ``INVSEARCH_SHARED`` names."""

from __future__ import annotations

import os
from pathlib import Path

from invsearch.errors import InputError

__all__ = ["shared_table"]


def shared_table(name: str, file: str) -> Path:
    """Where a table is.

    Args:
        name: What it is called.
        file: Its place in the folder.

    Raises:
        InputError: If it is not at hand.
    """
    shared = os.environ.get("INVSEARCH_SHARED")
    path = Path(shared or "") / file
    if not shared or not path.is_file():
        where = f"{path} does not exist" if shared else "INVSEARCH_SHARED is not set"
        raise InputError(
            f"{name} is not at hand: {where}; set INVSEARCH_SHARED to the folder that holds {file}"
        )
    return path
