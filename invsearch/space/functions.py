"""Importing what a space file names: an evaluator's functions, and files of further operators."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from invsearch.errors import InputError, NotHereError
from invsearch.user_code.failure import UserCodeError
from invsearch.user_code.importing import import_function, import_module, imported

__all__ = ["import_function", "import_operators", "locate_operators"]


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
            import_module(reference, reason, search_paths)


def _located(reference: str, folder: Path) -> str:
    if not reference.endswith(".py"):
        if all(part.isidentifier() for part in reference.split(".")):
            return reference
        raise InputError(f"operators {reference!r} is neither a file ending in .py nor a module")
    for path in (folder / Path(reference).expanduser(), Path(reference)):
        if path.is_file():
            return str(path.resolve())
    raise NotHereError(f"there is no file {reference!r} in {folder} or in the current folder")


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
        imported(lambda: loader.exec_module(module))
    except UserCodeError as error:
        del sys.modules[name]
        raise NotHereError(f"{reason}: {error}") from error
