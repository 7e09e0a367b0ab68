"""A data set from a Python function of the user's: ``package.module:function``.

It takes nothing and returns arrays by name, as a file ``*.npz`` holds them: ``train_images`` (uint8
(N, H, W) or (N, H, W, 3)), ``train_labels`` (integers from 0), and as much of ``val_images``,
``val_labels``, ``test_images``, ``test_labels`` as there is.
"""

from __future__ import annotations

import pkgutil
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from invsearch.data.formats.arrays import splits_of
from invsearch.data.splits import Splits
from invsearch.errors import InputError, NotHereError

__all__ = ["function_splits", "is_function", "named_function"]

_REFERENCE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


def is_function(name: str) -> bool:
    """Whether a data set's name is a function's."""
    return _REFERENCE.fullmatch(name) is not None


def named_function(reference: str) -> Callable[[], Any]:
    """Import a function; its module is looked for in the current folder too.

    Raises:
        InputError: In one line, if there is none, or its module cannot be imported.
    """
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    try:
        function = pkgutil.resolve_name(reference)
    except Exception as error:  # a module of the user's may raise anything
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise NotHereError(f"data set {reference!r} cannot be imported: {reason}") from error
    if not callable(function):
        raise InputError(f"data set {reference!r} is no function but {type(function).__name__}")
    return function  # type: ignore[no-any-return]


def function_splits(reference: str) -> Splits:
    """Call a function of the user's.

    Raises:
        InputError: In one line, if it raises, or returns something else than arrays.
    """
    function = named_function(reference)
    try:
        arrays = function()
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise InputError(f"data set {reference!r} raised {reason}") from error
    if not isinstance(arrays, Mapping):
        raise InputError(
            f"data set {reference!r} returned {type(arrays).__name__}, not a dict of arrays"
        )
    return splits_of(arrays, reference)
