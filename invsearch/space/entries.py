"""The entries of a space file, ``{choice: [...]}`` and ``{range: [low, high]}``, as parameters."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from invsearch.errors import InputError, nearest
from invsearch.space.architecture import Value
from invsearch.space.conditions import ordered
from invsearch.space.parameter import Parameter
from invsearch.space.schema import Entry
from invsearch.space.space import Space
from invsearch.space.validation import validate
from invsearch.space.yaml_file import Document, Path, show

__all__ = [
    "checked_order",
    "condition_values",
    "impossible",
    "parameter_at",
    "params_space",
    "read_parameters",
    "title",
    "unusable",
]

_WHOLE = 2**53  # up to here a float64 is exactly every whole number
# From 0, up to which a multiple of a step is told from its neighbours: a float64 has 16 digits, of
# which a millionth of a step takes six.
_STEPS = 10**10
FORMS = "{choice: [...]} or {range: [low, high]}"


def title(path: Path) -> str:
    """The name of a place in a space file, such as ``params.a``."""
    return ".".join(map(str, path))


def parameter_at(document: Document, path: Path, value: Any, name: str) -> Parameter:
    """Read the entry at ``path`` as a parameter, its conditions left for the caller to resolve.

    Raises:
        InputError: If the entry is no choice and no range, or makes no sense.
    """
    if not isinstance(value, dict):
        raise document.error(path, f"{title(path)} must be {FORMS}, not {show(value)}")
    entry = validate(Entry, document, path, value)
    if (entry.choice is None) == (entry.range is None):
        both = "both" if entry.choice is not None else "neither"
        raise document.error(
            path, f"{title(path)} has {both} of choice and range; give one", key=True
        )
    if entry.choice is not None:
        return _choice(document, path, entry, name)
    return _range(document, path, entry, name)


def _choice(document: Document, path: Path, entry: Entry, name: str) -> Parameter:
    values = entry.choice or []
    for key in ("step", "log"):
        if getattr(entry, key) is not None:
            raise document.error((*path, key), f"{title(path)}: a choice has no {key}", key=True)
    seen: set[Value] = set()
    for i, value in enumerate(values):
        if value in seen:
            raise document.error(
                (*path, "choice", i), f"{title(path)}.choice has {show(value)} twice"
            )
        seen.add(value)
    return Parameter(name, tuple(values))


def _range(document: Document, path: Path, entry: Entry, name: str) -> Parameter:
    low, high = entry.range or (0, 0)
    label, at = title(path), (*path, "range")
    if low >= high:
        raise document.error(at, f"{label}.range: low {low} is not below high {high}")
    if entry.log and low <= 0:
        raise document.error((*at, 0), f"{label}.range: low {low} must be above 0 for log")
    if entry.log and entry.step is not None:
        raise document.error((*path, "step"), f"{label}: step and log exclude each other", key=True)
    step = entry.step
    integer = all(isinstance(number, int) for number in (low, high, step or 1))
    if integer and step is None:
        step = 1
    if step is not None and step > high - low:
        raise document.error((*path, "step"), f"{label}.step {step} is wider than the range")
    _check_width(document, at, label, low, high, step if not integer else None)
    if not integer:
        low, high = float(low), float(high)
    made = Parameter(name, None, low, high, step, bool(entry.log), integer)
    if step is not None and not made.contains(high):
        last = made.value_at(int(made.cardinality) - 1)
        raise document.error(
            (*at, 1), f"{label}.range: with step {step} it ends at {last}, not {high}"
        )
    return made


def _check_width(
    document: Document, at: Path, label: str, low: float, high: float, step: float | None
) -> None:
    """Refuse a range that the samplers, which compute in float64, cannot tell the values of."""
    reason = ""
    if isinstance(low, int) and isinstance(high, int) and max(-low, high) > _WHOLE:
        reason = f"whole numbers lie between -2^53 and 2^53 ({_WHOLE:,})"
    elif not math.isfinite(float(high) - float(low)):
        reason = "the range is wider than the largest number there is"
    elif step is not None and max(-low, high) / step > _STEPS:
        reason = f"its ends are more than {_STEPS:,} steps of {step} from 0"
    if reason:
        raise document.error(at, f"{label}.range cannot be [{low}, {high}]: {reason}")


def condition_values(document: Document, path: Path, name: str, value: Any) -> tuple[Value, ...]:
    """Read the value or values at ``when.name`` of the entry at ``path``.

    Raises:
        InputError: If they are no scalars, or none.
    """
    values = value if isinstance(value, list) else [value]
    at = (*path, "when", name)
    if not values or any(not isinstance(item, bool | int | float | str) for item in values):
        raise document.error(
            at, f"{title(at)} must be a value or a list of values, not {show(value)}"
        )
    return tuple(values)


def impossible(
    document: Document, path: Path, name: str, index: int, other: Parameter
) -> InputError:
    """The error about a value at ``when.name`` that the other parameter never takes."""
    value = document.value
    for part in (*path, "when", name):
        value = value[part]
    at: Path = (*path, "when", name)
    if isinstance(value, list):
        at, value = (*at, index), value[index]
    return document.error(
        at, f"{name!r} is never {show(value)}, so this can never hold; it is {other.describe()}"
    )


def unusable(
    document: Document, path: Path, name: str, other: Parameter | None, names: list[str]
) -> InputError:
    """The error about a ``when.name`` that is no parameter, or a continuous one."""
    at = (*path, "when", name)
    if other is not None:
        message = f"{name!r} is continuous: a condition needs a choice, or a range with a step"
    else:
        message = f"unknown parameter {name!r}{nearest(name, names)}; there are: {', '.join(names)}"
    return document.error(at, message, key=True)


def checked_order(document: Document, paths: dict[str, Path], needs: dict[str, set[str]]) -> None:
    """Check that conditions do not go round in a circle.

    Raises:
        InputError: If they do.
    """
    try:
        ordered(list(paths), needs)
    except ValueError as error:
        circle = error.args
        path = (*paths[circle[0]], "when")
        route = " -> ".join(map(str, circle))
        raise document.error(
            path, f"the conditions go round in a circle: {route}", key=True
        ) from None


def params_space(document: Document, params: dict[str, Any]) -> Space:
    """Build the space of a ``params:`` section.

    Raises:
        InputError: With the position of what is wrong.
    """
    return Space(read_parameters(document, "params", params))


def read_parameters(document: Document, section: str, entries: dict[str, Any]) -> list[Parameter]:
    """Read the entries of a section as parameters with their conditions.

    Raises:
        InputError: With the position of what is wrong.
    """
    paths: dict[str, Path] = {name: (section, name) for name in entries}
    found = {name: parameter_at(document, paths[name], entries[name], name) for name in entries}
    made = [
        replace(parameter, when=_conditions(document, paths[name], entries[name], found))
        for name, parameter in found.items()
    ]
    checked_order(document, paths, {p.name: {other for other, _ in p.when} for p in made})
    return made


def _conditions(
    document: Document, path: Path, entry: dict[str, Any], found: dict[str, Parameter]
) -> tuple[tuple[str, tuple[Value, ...]], ...]:
    conditions = []
    for name, value in (entry.get("when") or {}).items():
        values = condition_values(document, path, name, value)
        other = found.get(name)
        if other is None or not other.finite:
            raise unusable(document, path, name, other, list(found))
        normal = []
        for index, item in enumerate(values):
            member = other.normal(item)
            if member is None:
                raise impossible(document, path, name, index, other)
            normal.append(member)
        conditions.append((name, tuple(normal)))
    return tuple(conditions)
