"""Checking values of a space file against a pydantic model: one line, located, about one thing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from invsearch.errors import InputError, nearest
from invsearch.space.yaml_file import Document, Path, show

__all__ = ["unknown_key", "validate"]

S = TypeVar("S", bound=BaseModel)

_TYPES = {
    "int_type": "a whole number",
    "float_type": "a number",
    "string_type": "text",
    "bool_type": "true or false",
    "list_type": "a list [...]",
    "tuple_type": "a list [...]",
    "dict_type": "a mapping of keys to values",
    "model_type": "a mapping of keys to values",
    "int_from_float": "a whole number",
}
_LIMITS = {
    "greater_than": ("above", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("below", "lt"),
    "less_than_equal": ("at most", "le"),
}


def validate(kind: type[S], document: Document, path: Path = (), value: Any = None) -> S:
    """Check the value at ``path`` of a document against a model.

    Args:
        kind: The model.
        document: Where the value was read, for positions.
        path: Where it stands in the document.
        value: The value; None takes the whole document.

    Raises:
        InputError: About the first thing that is wrong, unknown keys before all else.
    """
    try:
        return kind.model_validate(document.value if value is None else value)
    except ValidationError as error:
        details = error.errors(include_url=False)
        first = min(details, key=lambda item: item["type"] != "extra_forbidden")
        raise _located(kind, document, path, first) from None


def _located(
    kind: type[BaseModel], document: Document, path: Path, error: ErrorDetails
) -> InputError:
    at, code, context = (*path, *error["loc"]), error["type"], error.get("ctx", {})
    if code == "extra_forbidden":
        return unknown_key(document, at, list(_model_at(kind, error["loc"][:-1]).model_fields))
    if code == "missing":
        return document.error(at[:-1], f"missing key {at[-1]!r}{_inside(at[:-1])}")
    at = _existing(document.value, at)
    name = ".".join(map(str, at)) or "the file"
    return document.error(at, f"{name} {_reason(code, context, error)}")


def unknown_key(document: Document, path: Path, allowed: list[str]) -> InputError:
    """Return the error to raise about a key that means nothing."""
    message = f"unknown key {path[-1]!r}{nearest(path[-1], allowed)}; allowed: {', '.join(allowed)}"
    return document.error(path, message, key=True)


def _inside(path: Path) -> str:
    return f" in {'.'.join(map(str, path))}" if path else ""


def _existing(value: Any, path: Path) -> Path:
    """Return the part of pydantic's location that is in the file, not a branch of a union."""
    kept: list[str | int] = []
    for part in path:
        inside = value if isinstance(value, dict) else {}
        if isinstance(value, list):
            inside = dict(enumerate(value))
        if part not in inside:
            break
        value = inside[part]
        kept.append(part)
    return tuple(kept)


def _model_at(kind: type[BaseModel], path: Path) -> type[BaseModel]:
    """Return the model of the section at ``path`` inside a model."""
    for part in path:
        annotation: Any = (
            kind.model_fields[str(part)].annotation if part in kind.model_fields else None
        )
        options = [annotation, *get_args(annotation)]
        kind = next((o for o in options if isinstance(o, type) and issubclass(o, BaseModel)), kind)
    return kind


def _reason(code: str, context: Mapping[str, Any], error: ErrorDetails) -> str:
    given = show(error["input"])
    if code in _TYPES:
        quote = isinstance(error["input"], int | float) and code == "string_type"
        return f"must be {_TYPES[code]}, not {given}{' (quote it)' if quote else ''}"
    if code in _LIMITS:
        word, key = _LIMITS[code]
        limit = context[key]
        limit = int(limit) if float(limit).is_integer() else limit
        return f"must be {word} {limit}, not {given}"
    if code == "literal_error":
        allowed = [word.strip("' ") for word in context["expected"].replace(" or ", ",").split(",")]
        hint = nearest(error["input"], allowed)
        return f"cannot be {given}{hint}; allowed: {', '.join(allowed)}"
    if code in ("too_short", "too_long", "string_too_short"):
        length = len(error["input"])
        if length == 0:
            return "must not be empty"
        word, key = ("at most", "max_length") if code == "too_long" else ("at least", "min_length")
        return f"must have {word} {context[key]} entries, not {length}"
    if code == "value_error":
        return str(context["error"])
    return f"{error['msg'][0].lower()}{error['msg'][1:]}, not {given}"
