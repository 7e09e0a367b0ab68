"""Copying into a run folder the files that its space file names."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from invsearch.errors import InputError
from invsearch.runs.files import dump_json, write_atomic
from invsearch.runs.load import find_run
from invsearch.runs.outline import outline
from invsearch.space.load import SpaceFile
from invsearch.space.referred import Referred, beside_file, beside_module
from invsearch.space.sources import MANIFEST, SOURCES, KeptSources, SourceFile, digest

__all__ = ["keep_sources"]


def keep_sources(run: Path, space_file: SpaceFile) -> None:
    """Copy the evaluator, the costs function and the operators into ``sources/``, once.

    Folders (data sets, earlier runs) are not copied: where they are is noted, so that they are
    found again when run and data move together. What a run keeps is never written over.

    Args:
        run: The run folder, locked by the caller.
        space_file: What is searched; its modules are imported.
    """
    if KeptSources.read(run) is not None:
        return
    base = run.resolve()
    files: dict[str, SourceFile] = {}
    for found in _modules(space_file):
        _copy(base, found.file, found.origin, files)
    operators = _operators(base, space_file, files)
    kept = KeptSources(base, tuple(files.values()), operators, dict(_paths(base, space_file)))
    if kept.files or kept.paths:
        (base / SOURCES).mkdir(exist_ok=True)
        write_atomic(base / SOURCES / MANIFEST, dump_json(kept.to_json(), indent=1) + "\n")


def _modules(space_file: SpaceFile) -> Iterator[Referred]:
    builder = space_file.model.builder if space_file.model else None
    callbacks = [one for one in space_file.search.callbacks if ":" in one]
    functions = [one for one in (space_file.evaluator, space_file.costs, builder) if one]
    functions += callbacks
    names = [function.partition(":")[0] for function in functions]
    names += [name for name in space_file.operators if not name.endswith(".py")]
    for name in dict.fromkeys(names):
        yield from beside_module(name)


def _operators(base: Path, space_file: SpaceFile, files: dict[str, SourceFile]) -> dict[str, str]:
    """Copy operator files; the copies' names, by reference."""
    references = space_file.model.operators if space_file.model else ()
    named = {}
    for reference, located in zip(references, space_file.operators, strict=True):
        if not located.endswith(".py"):
            continue
        for found in beside_file(Path(located)):
            file = _free(found, files)
            _copy(base, file, found.origin, files)
            if found.origin == Path(located):
                named[str(reference)] = file
    return named


def _free(found: Referred, files: Mapping[str, SourceFile]) -> str:
    """A name that no other file has: operators in two folders may be called alike."""
    file, number = Path(found.file), 2
    while str(file) in files and files[str(file)].origin != str(found.origin):
        file = Path(found.file).with_stem(f"{Path(found.file).stem}-{number}")
        number += 1
    return str(file)


def _copy(base: Path, file: str, origin: Path, files: dict[str, SourceFile]) -> None:
    if file in files:
        return
    data = origin.read_bytes()
    target = base / SOURCES / file
    target.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(target, data)
    files[file] = SourceFile(file, str(origin), os.path.relpath(origin, base), digest(data))


def _paths(base: Path, space_file: SpaceFile) -> Iterator[tuple[str, tuple[str, str]]]:
    """By the name that the space file uses, where a folder is: absolute, and from the run."""
    dataset = space_file.accuracy.dataset if space_file.accuracy is not None else ""
    if Path(dataset).is_absolute() and Path(dataset).is_dir():
        reference = outline(space_file.text).accuracy.get("dataset", dataset)
        yield reference, _both(base, Path(dataset))
    for earlier in _earlier(space_file.search.warm_start):
        yield str(earlier[0]), _both(base, earlier[1])


def _earlier(names: Iterable[str]) -> Iterator[tuple[str, Path]]:
    for name in names:
        try:
            yield name, find_run(name)
        except InputError:  # the search itself says so, where it needs the run
            continue


def _both(base: Path, path: Path) -> tuple[str, str]:
    return str(path.resolve()), os.path.relpath(path.resolve(), base)
