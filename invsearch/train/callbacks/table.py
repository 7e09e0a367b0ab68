"""Finding a callback by its name."""

from __future__ import annotations

from collections.abc import Callable

from invsearch.errors import InputError, nearest
from invsearch.plugins import CALLBACKS
from invsearch.train.callbacks.callback import Callback

__all__ = ["callback_of"]


def callback_of(name: str) -> Callback:
    """Make a callback that has a name; a row of the table is called without arguments.

    Raises:
        InputError: If there is none of this name, or the package that it needs is missing.
    """
    if name not in CALLBACKS:
        raise InputError(f"--callback {name!r} is none of {CALLBACKS}{nearest(name, CALLBACKS)}")
    make: Callable[[], Callback] = CALLBACKS.get(name, type)
    try:
        return make()
    except ModuleNotFoundError as error:
        raise InputError(
            f"--callback {name} needs the package {error.name}: pip install 'invsearch[{name}]'"
        ) from None
