"""The Python files that a space file refers to: those it names, and what these import beside them.

Found by reading, not by running: ``modulefinder`` of the standard library scans the compiled code
for imports, those inside functions too. What is imported by a computed name is not seen.
"""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from modulefinder import ModuleFinder
from pathlib import Path
from typing import NamedTuple

__all__ = ["Referred", "beside_file", "beside_module"]

_OURS = ["invsearch", "ops"]  # installed on every machine that runs a search


class Referred(NamedTuple):
    """A file that is referred to.

    Attributes:
        file: Its path below the folder that is searched for modules.
        origin: The file itself.
    """

    file: str
    origin: Path


def beside_module(name: str) -> list[Referred]:
    """Return the files of an imported module and of what it imports from the same folder.

    Args:
        name: ``package.module``, in ``sys.modules``.

    Returns:
        Nothing where the module is installed: it is the same wherever the package is installed.
    """
    own = getattr(sys.modules.get(name), "__file__", None)
    if own is None:
        return []
    depth = name.count(".") + (Path(own).name == "__init__.py")
    root = Path(own).resolve().parents[depth]
    if any(root.is_relative_to(place) for place in _installed()):
        return []
    finder = ModuleFinder([str(root)], excludes=_OURS)
    try:
        finder.import_hook(name)
    except (ImportError, SyntaxError, ValueError):  # in a folder without an __init__.py, too
        return _beside(Path(own).resolve(), root)
    return list(_below(root, _files(finder)))


def beside_file(path: Path) -> list[Referred]:
    """Return a file, by its name, and what it imports from its folder."""
    return _beside(path.resolve(), path.resolve().parent)


def _beside(path: Path, root: Path) -> list[Referred]:
    finder = ModuleFinder([str(root)], excludes=_OURS)
    with suppress(ImportError, SyntaxError, ValueError):
        finder.run_script(str(path))
    return list(_below(root, [path, *_files(finder)]))


def _files(finder: ModuleFinder) -> Sequence[Path]:
    found = (getattr(module, "__file__", None) for module in finder.modules.values())
    return [Path(file) for file in found if file]


def _below(root: Path, files: Iterable[Path]) -> Iterator[Referred]:
    for file in dict.fromkeys(path.resolve() for path in files):
        if file.is_relative_to(root):
            yield Referred(str(file.relative_to(root)), file)


def _installed() -> list[Path]:
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    return [Path(sysconfig.get_path(name)).resolve() for name in names]
