"""What a run keeps of the files that its space file names, and where they are found again."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from invsearch.errors import InputError, NotHereError

__all__ = ["COPY", "MANIFEST", "SOURCES", "KeptSources", "SourceFile", "digest"]

COPY = "space.yaml"  # a run folder's own copy of its space file
SOURCES = "sources"
MANIFEST = "sources.json"
SCHEMA = 1


def digest(data: bytes) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


@dataclass(frozen=True)
class SourceFile:
    """A Python file that a run keeps a copy of.

    Attributes:
        file: The copy, below ``sources/``; of a module the path that its name stands for.
        origin: Where it was, absolute.
        relative: The same as seen from the run folder: good where both have moved together.
        sha256: Of its content.
    """

    file: str
    origin: str
    relative: str
    sha256: str

    def found(self, run: Path) -> Path | None:
        """Where it is now, if it is anywhere but in the run."""
        for place in (run / self.relative, Path(self.origin)):
            if place.is_file():
                return Path(os.path.normpath(place))
        return None


@dataclass(frozen=True)
class KeptSources:
    """The ``sources/`` of a run folder.

    A file that is unchanged where it came from is used there, since it may read what lies beside
    it; if any has changed since, or is gone, the run's copies are used, all of them: a run goes on
    with the code that it began with.

    Attributes:
        run: The run folder, absolute.
        files: The copies.
        operators: By reference of ``model.operators``, the copy.
        paths: By reference, folders that are not copied (data sets, earlier runs): absolute, and
            as seen from the run folder.
    """

    run: Path
    files: Sequence[SourceFile] = ()
    operators: Mapping[str, str] = field(default_factory=dict)
    paths: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        return self.run / SOURCES

    @classmethod
    def read(cls, run: Path) -> KeptSources | None:
        """Read what a run keeps; None where the folder is no run, or one of an older version.

        Raises:
            InputError: If the list of files is damaged, or a newer version's.
        """
        path = run / SOURCES / MANIFEST
        try:
            data = json.loads(path.read_bytes())
            return cls._of(run.resolve(), data, path)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"{path}: cannot be read ({type(error).__name__}: {error}): restore it, or remove "
                f"{path.parent} to take the files that the space file names as they are now"
            ) from None

    @classmethod
    def _of(cls, run: Path, data: Mapping[str, Any], path: Path) -> KeptSources:
        if data["schema"] != SCHEMA:
            raise InputError(
                f"{path}: written by another version of invsearch (schema {data['schema']!r}; this "
                f"version reads {SCHEMA}): update invsearch"
            )
        return cls(
            run,
            tuple(SourceFile(**entry) for entry in data["files"]),
            {str(reference): str(file) for reference, file in data["operators"].items()},
            {str(name): (str(one), str(two)) for name, (one, two) in data["paths"].items()},
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "files": [vars(source) for source in self.files],
            "operators": dict(self.operators),
            "paths": {name: list(places) for name, places in self.paths.items()},
        }

    def changed(self) -> list[Path]:
        """The files that are still where they came from, with another content than then."""
        found = [(source, source.found(self.run)) for source in self.files]
        return [path for source, path in found if path and not _same(path, source)]

    @property
    def unchanged(self) -> bool:
        """Whether every file is as it was where it came from."""
        found = [(source, source.found(self.run)) for source in self.files]
        return all(path is not None and _same(path, source) for source, path in found)

    @property
    def search_paths(self) -> tuple[str, ...]:
        """Where modules are looked for first."""
        if not self.unchanged:
            return (str(self.folder),)
        roots = dict.fromkeys(self._root(source) for source in self.files)
        return (*roots, str(self.folder))

    def _root(self, source: SourceFile) -> str:
        place = source.found(self.run) or self.folder / source.file
        return str(place.parents[len(Path(source.file).parts) - 1])

    def operator(self, reference: str) -> Path | None:
        """The file that a reference of ``model.operators`` stands for, if one is kept."""
        file = self.operators.get(reference)
        source = next((source for source in self.files if source.file == file), None)
        if source is None:
            return None
        there = source.found(self.run) if self.unchanged else None
        return there or self.folder / source.file

    def place(self, reference: str) -> Path | None:
        """The folder that a reference stood for: as seen from the run, or where it was."""
        absolute, relative = self.paths.get(reference, ("", ""))
        for place in (self.run / relative, Path(absolute)) if absolute else ():
            if place.is_dir():
                return Path(os.path.normpath(place))
        return None

    def check(self) -> None:
        """Check the copies, where it is they that are used.

        Raises:
            NotHereError: If one is missing.
        """
        if self.unchanged:
            return
        for source in self.files:
            if not (self.folder / source.file).is_file():
                raise NotHereError(
                    f"{self.folder / source.file} is missing, and {source.origin} is not what it "
                    "was, or gone too: put the file back"
                )


def _same(path: Path, source: SourceFile) -> bool:
    try:
        return digest(path.read_bytes()) == source.sha256
    except OSError:
        return False
