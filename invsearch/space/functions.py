"""Importing what a space file names: an evaluator's functions, and files of further operators."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from invsearch.errors import InputError, NotHereError, nearest
from invsearch.shadow import require_own_names

__all__ = ["import_function", "import_operators", "locate_operators"]


def import_function(reference: str, search_paths: Iterable[str | Path] = ()) -> Callable[..., Any]:
    """Import the function that ``package.module:function`` names.

    Args:
        reference: The function.
        search_paths: Folders to look in before those of ``sys.path``, to which they are added.

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
    search_paths = list(search_paths)
    require_own_names(search_paths)
    for folder in reversed([str(Path(path).resolve()) for path in search_paths]):
        if folder not in sys.path:
            sys.path.insert(0, folder)
    importlib.invalidate_caches()
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        raise NotHereError(f"{reason}: {_one_line(error)}") from error


def _import_file(path: Path, reason: str) -> None:
    name = f"invsearch_operators_{hashlib.sha256(str(path).encode()).hexdigest()[:16]}"
    if name in sys.modules:
        return
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise NotHereError(f"{reason}: {_one_line(error)}") from error


def _one_line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
