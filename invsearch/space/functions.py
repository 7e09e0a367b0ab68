"""Importing what a space file names: an evaluator's functions, and files of further operators."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from invsearch.errors import InputError, NotHereError, nearest
from invsearch.shadow import require_own_names
from invsearch.user_code.failure import UserCodeError
from invsearch.user_code.guard import Guard

__all__ = ["import_function", "import_operators", "locate_operators"]

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
    module = _import_module(module_name, f"{reference!r} cannot be imported", search_paths)
    if not hasattr(module, name):
        public = [known for known in vars(module) if not known.startswith("_")]
        hint = nearest(name, public)
        raise NotHereError(f"{reference!r} cannot be imported: {module_name} has no {name!r}{hint}")
    function = getattr(module, name)
    if not callable(function):
        kind = type(function).__name__
        raise InputError(f"{reference!r} is no function but of type {kind}")
    return function  # type: ignore[no-any-return]


def locate_operators(references: Iterable[str], folder: Path) -> tuple[str, ...]:
    """Return the references, files as absolute paths: looked for in ``folder``, then here.

    Raises:
        InputError: If there is no such file.
    """
    return tuple(_located(reference, folder) for reference in references)


def import_operators(references: Iterable[str], search_paths: Sequence[str | Path] = ()) -> None:
    """Import the files (absolute paths) and modules that register further operators, each once.

    Raises:
        InputError: In one line, if one of them cannot be imported.
    """
    for reference in references:
        reason = f"operators {reference!r} cannot be imported"
        if reference.endswith(".py"):
            _import_file(Path(reference), reason)
        else:
            _import_module(reference, reason, search_paths)


def _located(reference: str, folder: Path) -> str:
    if not reference.endswith(".py"):
        if all(part.isidentifier() for part in reference.split(".")):
            return reference
        raise InputError(f"operators {reference!r} is neither a file ending in .py nor a module")
    for path in (folder / Path(reference).expanduser(), Path(reference)):
        if path.is_file():
            return str(path.resolve())
    raise NotHereError(f"there is no file {reference!r} in {folder} or in the current folder")


def _import_module(name: str, reason: str, search_paths: Iterable[str | Path]) -> ModuleType:
    first = [str(Path(path).resolve()) for path in search_paths]
    require_own_names(first)
    sys.path[:] = [*first, *(place for place in sys.path if place not in first)]
    importlib.invalidate_caches()
    try:
        return _imported(lambda: importlib.import_module(name))
    except UserCodeError as error:
        raise NotHereError(f"{reason}: {error}") from error


def _import_file(path: Path, reason: str) -> None:
    # by content, not by path: the copy that a run keeps registers the same operators
    name = f"invsearch_operators_{hashlib.sha256(path.read_bytes()).hexdigest()[:16]}"
    if name in sys.modules:
        return
    if str(path.parent) not in sys.path:  # last: what it imports beside it, and nothing else's
        sys.path.append(str(path.parent))
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    loader = spec.loader
    assert loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        _imported(lambda: loader.exec_module(module))
    except UserCodeError as error:
        del sys.modules[name]
        raise NotHereError(f"{reason}: {error}") from error


def _imported(action: Callable[[], T]) -> T:
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
