"""The JSON Schema of space files, for editors."""

from __future__ import annotations

from typing import Any

from invsearch.plugins import DATASETS, STRATEGIES
from invsearch.space.schema import Entry, Sections

__all__ = ["json_schema"]

_SUFFIXED = {"type": "string", "pattern": r"^[-+]?(\d+(\.\d*)?|\.\d+)[kMG]$"}
_SCALAR = {"type": ["string", "number", "boolean"]}
_OWN = [{"required": [key]} for key in ("builder", "timm")]
_SETTING = {"anyOf": [_SCALAR, {"$ref": "#/$defs/Entry"}]}


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a space file, with all that is registered in its place."""
    from invsearch.models.families import FAMILIES
    from invsearch.space.network.layout import network_keys

    schema = _with_suffixes(Sections.model_json_schema())
    defs = schema["$defs"]
    defs["Entry"] = _with_suffixes(Entry.model_json_schema())
    defs["Entry"]["oneOf"] = [{"required": ["choice"]}, {"required": ["range"]}]
    keys, settings = [key for key in network_keys() if key != "family"], _settings()
    defs["Search"]["properties"]["strategy"]["enum"] = list(STRATEGIES)
    defs["Accuracy"]["properties"]["dataset"]["examples"] = list(DATASETS)
    defs["Model"]["additionalProperties"] = False
    defs["Model"]["properties"].update(dict.fromkeys([*keys, *settings], _SCALAR))
    defs["Model"]["properties"]["family"] = {"enum": list(FAMILIES)}
    network = ["family", *keys, *settings]
    properties = schema["properties"]
    space = _closed(dict.fromkeys(network, _SETTING))
    numbers = [len(family.stages) for family in FAMILIES.values()]
    stages = {
        "type": "array",
        "items": _SETTING,
        "minItems": min(numbers),
        "maxItems": max(numbers),
    }
    space["properties"]["stage"] = _closed(
        {key: {"anyOf": [_SETTING, stages]} for key in ["blocks", *settings]}
    )
    space["properties"]["block"] = _closed(dict.fromkeys(settings, _SETTING))
    properties["space"] = {"type": "object", "minProperties": 1}
    anything = {"additionalProperties": _SETTING}
    schema["if"] = {"properties": {"model": {"anyOf": _OWN}}, "required": ["model"]}
    schema["then"] = {"properties": {"space": anything}}
    schema["else"] = {"properties": {"space": space}}
    properties["params"] = {
        "type": "object",
        "minProperties": 1,
        "additionalProperties": {"$ref": "#/$defs/Entry"},
    }
    schema["oneOf"] = [{"required": ["model", "space"]}, {"required": ["evaluator", "params"]}]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "Space file",
    }


def _settings() -> list[str]:
    from invsearch.space.network.layout import hyperparameter_names

    return ["operator", *hyperparameter_names()]


def _closed(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _with_suffixes(value: Any) -> Any:
    """Let a number be written with k, M or G wherever there may be one."""
    if isinstance(value, list):
        return [_with_suffixes(item) for item in value]
    if not isinstance(value, dict):
        return value
    changed = {key: _with_suffixes(item) for key, item in value.items()}
    if changed.get("type") in ("integer", "number"):
        about = {k: changed.pop(k) for k in ("title", "description", "default") if k in changed}
        return {**about, "anyOf": [changed, _SUFFIXED]}
    return changed
