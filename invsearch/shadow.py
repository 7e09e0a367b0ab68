"""Whether the names of our two packages mean ours: a file, folder or distribution may hide them."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

from invsearch.errors import HiddenError

__all__ = ["import_path", "require_own_names", "watch_names"]

_HOME = Path(__file__).parents[1]

_MARKS: Mapping[str, str] = {"ops": "Involution2d", "invsearch": "load_run"}
"""Our packages, and a word that is in the ``__init__.py`` of ours."""

_ROOMS = ("bench", "cost", "latency", "models", "takeaway", "testing", "train")
"""Rooms whose import imports `ops`; the others do so later, or not at all."""


def require_own_names(folders: Iterable[str | Path] = ()) -> None:
    """Check that ``ops`` and ``invsearch`` are, or will be found as, ours.

    Args:
        folders: Where user code is looked for, here or in processes that are started from here.

    Raises:
        HiddenError: If something else has one of the names; in one line, with its path.
    """
    places = [str(Path(folder).resolve()) for folder in folders]
    for name in _MARKS:
        for place in places:
            _require(name, PathFinder.find_spec(name, [place, *sys.path]))
        _require(name, sys.modules.get(name) or importlib.util.find_spec(name))


def watch_names() -> None:
    """Let what would import another ``ops`` for ours end in the one line, here and from now on.

    Importing ours at once would be as safe, and take the seconds of importing torch.
    """
    if not any(isinstance(finder, _Watch) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Watch())


def import_path() -> str:
    """Return this process's import path, as the ``PYTHONPATH`` of one started by ``python -P``.

    Our packages are found there as they are here, whatever has come to lie before them since.
    """
    places = [part or str(Path.cwd()) for part in sys.path]
    for name in _MARKS:
        found = PathFinder.find_spec(name, places)
        if found is None or found.origin != str(_HOME / name / "__init__.py"):
            places.insert(0, str(_HOME))
    return os.pathsep.join(places)


class _Watch(MetaPathFinder):
    """Finds nothing: it looks at what the finders after it would find."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> None:
        package, _, room = name.partition(".")
        if name == "ops":
            _require(name, PathFinder.find_spec(name))
        elif package == "invsearch" and room in _ROOMS:
            _require("ops", sys.modules.get("ops"))


def _require(name: str, found: ModuleSpec | ModuleType | None) -> None:
    if found is None:
        return
    path = _path(found)
    if path.is_file() and _MARKS[name] in path.read_text(encoding="utf-8", errors="replace"):
        return
    brought = _distribution(name, path)
    way_out = (
        f"it came with {brought}: uninstall that, or use an environment without it"
        if brought
        else "rename it, uninstall the distribution that brought it, or work in another folder"
    )
    raise HiddenError(f"{path} hides invsearch's own package {name!r}: {way_out}")


def _path(found: ModuleSpec | ModuleType) -> Path:
    """Where it is: the file, or the folder of a package without one."""
    if isinstance(found, ModuleSpec):
        name, file, folders = found.name, found.origin, found.submodule_search_locations
    else:
        name, file = found.__name__, getattr(found, "__file__", None)
        folders = getattr(found, "__path__", None)
    return Path(file or next(iter(folders or ()), f"<module {name}>"))


def _distribution(name: str, path: Path) -> str | None:
    """The installed distribution that a package of this name at a path is of, with its version."""
    site = path.parents[1] if path.name == "__init__.py" else path.parent
    for distribution in metadata.distributions(path=[str(site)]):
        called = str(distribution.metadata["Name"] or "")
        tops = {Path(str(file)).parts[0] for file in distribution.files or ()}
        tops |= set((distribution.read_text("top_level.txt") or "").split())
        tops |= set() if tops else {called}  # one that says nothing of its files
        if called != "invsearch" and {name, f"{name}.py"} & tops:
            return f"the distribution {called!r} {distribution.version}"
    return None
