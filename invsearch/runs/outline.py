"""The few lines of a space file that a report needs, read without importing what it names."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import yaml

from invsearch.metrics import Direction

__all__ = ["SpaceOutline", "is_mapping", "outline"]

# as in space/yaml_file.py
_SUFFIXES = {"k": 1e3, "M": 1e6, "G": 1e9}


@dataclass(frozen=True)
class SpaceOutline:
    """What a run's space file says about names, objectives and the search.

    Attributes:
        name: The space's name; empty when the file does not say.
        objectives: Direction by metric, in order.
        constraints: By metric, the ends ``min`` and ``max`` that are given.
        search: The ``search`` section, values as text.
        accuracy: The ``accuracy`` section, values as text.
        model: Whether the space is one of networks (``model:``) rather than of parameters.
        constants: What every network of the space has, from ``model:`` and ``space:``, as text.
    """

    name: str = ""
    objectives: Mapping[str, Direction] = field(default_factory=dict)
    constraints: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    search: Mapping[str, str] = field(default_factory=dict)
    accuracy: Mapping[str, str] = field(default_factory=dict)
    model: bool = False
    constants: Mapping[str, str] = field(default_factory=dict)


def _number(text: str) -> float:
    factor = _SUFFIXES.get(text[-1:], 1.0)
    return float(text.rstrip("kMG")) * factor


def _bounds(section: Any) -> dict[str, float]:
    bounds = {}
    for end in ("min", "max"):
        try:
            value = _number(section[end])
        except (KeyError, TypeError, ValueError):
            continue
        if math.isfinite(value):
            bounds[end] = value
    return bounds


def _mapping(data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    section = data.get(key)
    return section if isinstance(section, Mapping) else {}


def _texts(section: Mapping[str, Any]) -> dict[str, str]:
    return {key: value for key, value in section.items() if isinstance(value, str)}


def is_mapping(text: str) -> bool:
    """Whether a text is a YAML mapping, as every space file is; so is one that says nothing."""
    try:
        data = yaml.load(text, Loader=yaml.BaseLoader)
    except (yaml.YAMLError, RecursionError):
        return False
    return data is None or data == "" or isinstance(data, Mapping)


def outline(text: str) -> SpaceOutline:
    """Read the outline of a space file that was checked when its run was made.

    The full loader imports operators and evaluators, which may be gone when a run is looked at
    years later or elsewhere; so this reads plain YAML, every scalar as the text it is (YAML 1.1's
    reading of ``no`` and ``1e-3`` never comes into it), and leaves out what it cannot understand.

    Args:
        text: The content of ``space.yaml``.

    Returns:
        The outline, empty where the text is no YAML mapping.
    """
    try:
        data = yaml.load(text, Loader=yaml.BaseLoader)
    except (yaml.YAMLError, RecursionError):
        return SpaceOutline()
    if not isinstance(data, Mapping):
        return SpaceOutline()
    objectives = {
        name: cast(Direction, direction)
        for name, direction in _mapping(data, "objectives").items()
        if direction in ("minimize", "maximize")
    }
    return SpaceOutline(
        name=str(data.get("name", "")),
        objectives=objectives,
        constraints={name: _bounds(ends) for name, ends in _mapping(data, "constraints").items()},
        search=_texts(_mapping(data, "search")),
        accuracy=_texts(_mapping(data, "accuracy")),
        model="model" in data,
        constants={**_texts(_mapping(data, "model")), **_texts(_mapping(data, "space"))},
    )
