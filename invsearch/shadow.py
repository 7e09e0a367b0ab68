"""Whether the names of our two packages mean ours: a file or folder of a user's may hide them."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterable, Mapping
from importlib.machinery import PathFinder
from pathlib import Path

from invsearch.errors import InputError

__all__ = ["require_own_names"]

_MARKS: Mapping[str, str] = {"ops": "Involution2d", "invsearch": "load_run"}
"""Our packages, and a word that is in the ``__init__.py`` of ours."""


def require_own_names(folders: Iterable[str | Path] = ()) -> None:
    """Check that ``ops`` and ``invsearch`` are found as ours.

    Args:
        folders: Where user code is looked for, here or in processes that are started from here.

    Raises:
        InputError: If something else has one of the names; in one line, with its path.
    """
    places = [str(Path(folder).resolve()) for folder in folders]
    for name, mark in _MARKS.items():
        found = [PathFinder.find_spec(name, [place, *sys.path]) for place in places]
        if name not in sys.modules:
            found.append(importlib.util.find_spec(name))
        for spec in found:
            if spec is None:
                continue
            path = Path(spec.origin or next(iter(spec.submodule_search_locations or ()), ""))
            if not (path.is_file() and mark in path.read_text(encoding="utf-8", errors="replace")):
                raise InputError(
                    f"{path} hides invsearch's own package {name!r}: rename it, uninstall the "
                    "distribution that brought it, or work in another folder"
                )
