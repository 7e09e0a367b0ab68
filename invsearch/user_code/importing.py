"""Importing what somebody else wrote: a function by its name, a module, from folders of theirs."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from invsearch.errors import InputError, NotHereError, nearest
from invsearch.shadow import require_own_names
from invsearch.user_code.failure import UserCodeError
from invsearch.user_code.guard import Guard

__all__ = ["import_function", "import_module", "imported"]

T = TypeVar("T")


def import_function(reference: str, search_paths: Iterable[str | Path] = ()) -> Callable[..., Any]:
    """Import the function that ``package.module:function`` names.

    Args:
        reference: The function.
        search_paths: Folders to look in before those of ``sys.path``, at whose front they are put.

    Raises:
        InputError: In one line, if there is no such function or its module cannot be imported.
    """
    module_name, _, name = reference.partition(":")
    module = import_module(module_name, f"{reference!r} cannot be imported", search_paths)
    if not hasattr(module, name):
        public = [known for known in vars(module) if not known.startswith("_")]
        hint = nearest(name, public)
        raise NotHereError(f"{reference!r} cannot be imported: {module_name} has no {name!r}{hint}")
    function = getattr(module, name)
    if not callable(function):
        kind = type(function).__name__
        raise InputError(f"{reference!r} is no function but of type {kind}")
    return function  # type: ignore[no-any-return]


def import_module(name: str, reason: str, search_paths: Iterable[str | Path]) -> ModuleType:
    """Import a module, looked for in some folders before those of ``sys.path``.

    Args:
        name: The module.
        reason: What an error begins with.
        search_paths: Folders, which are put at the front of ``sys.path``.

    Raises:
        NotHereError: In one line, if it cannot be imported.
    """
    first = [str(Path(path).resolve()) for path in search_paths]
    require_own_names(first)
    sys.path[:] = [*first, *(place for place in sys.path if place not in first)]
    importlib.invalidate_caches()
    try:
        return imported(lambda: importlib.import_module(name))
    except UserCodeError as error:
        raise NotHereError(f"{reason}: {error}") from error


def imported(action: Callable[[], T]) -> T:
    """Import somebody's module; what it adds to the module path and the environment is kept.

    Functions import more, later, from where their module said at its import.
    """
    added: list[str] = []

    def noted() -> T:
        before = set(sys.path)
        try:
            return action()
        finally:
            added.extend(path for path in sys.path if path not in before)

    try:
        return Guard(environment=False).call(noted)
    finally:
        sys.path.extend(path for path in added if path not in sys.path)
