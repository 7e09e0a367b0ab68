"""``--set a.b=c``: values that replace those of a space file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from invsearch.errors import InputError
from invsearch.space.yaml_file import Document, Path, parse, show

__all__ = ["apply_overrides"]


def apply_overrides(document: Document, overrides: Sequence[str]) -> None:
    """Replace values in a document; what is wrong with them is then said of ``--set a.b=c``.

    Raises:
        InputError: If an override is not written ``a.b=c``, or names a place that cannot be.
    """
    for text in overrides:
        label = f"--set {text}"
        names, equals, written = text.partition("=")
        keys = names.strip().split(".")
        if not equals or not all(keys):
            raise InputError(f"{label}: write --set key=value, such as --set search.trials=8")
        try:
            value = parse(written, "value").value
        except InputError as error:
            raise InputError(f"{label}: {error}") from None
        path = _enter(document, keys, label)
        _forget(document, path)
        _mark(document, path, value, label)
        _parent(document.value, path)[path[-1]] = value


def _enter(document: Document, keys: Sequence[str], label: str) -> Path:
    """Return the path that keys spell, and make the mappings on the way that are not there."""
    if document.value is None:
        document.value = {}
    here, path = document.value, []
    for i, key in enumerate(keys):
        place: str | int = key
        if isinstance(here, list) and key.isdigit() and int(key) < len(here):
            place = int(key)
        elif not isinstance(here, dict):
            raise InputError(f"{label}: {'.'.join(keys[:i])} is {show(here)} and has no {key!r}")
        path.append(place)
        if i == len(keys) - 1:
            break
        if isinstance(here, dict) and here.get(key) is None:
            here[key] = {}
            document.keys[tuple(path)] = document.values[tuple(path)] = label
        here = here[place]
    return tuple(path)


def _parent(value: Any, path: Path) -> Any:
    for part in path[:-1]:
        value = value[part]
    return value


def _forget(document: Document, path: Path) -> None:
    for marks in (document.keys, document.values):
        for known in [known for known in marks if known[: len(path)] == path]:
            del marks[known]


def _mark(document: Document, path: Path, value: Any, label: str) -> None:
    document.keys[path] = document.values[path] = label
    items = value.items() if isinstance(value, dict) else ()
    if isinstance(value, list):
        items = enumerate(value)  # type: ignore[assignment]
    for key, item in items:
        _mark(document, (*path, key), item, label)
