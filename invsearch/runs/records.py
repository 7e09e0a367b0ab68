"""Lines of ``trials.jsonl`` and the logs beside it, checked before they are believed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from invsearch.runs.audits import Audit
from invsearch.runs.replicates import Replicate
from invsearch.runs.trial import SCHEMA, Origin, State, Trial

__all__ = ["NewerError", "parse_audit", "parse_replicate", "parse_trial"]


class NewerError(Exception):
    """A line that a newer version wrote; it is sound, and not for this one to read."""


def parse_trial(data: Any) -> Trial:
    """Return the trial that a decoded line stands for.

    Raises:
        NewerError: If a newer version wrote it.
        ValueError: If it cannot be a trial; also KeyError, TypeError and AttributeError.
    """
    _check_record(data)
    for field, allowed in (("state", get_args(State)), ("origin", get_args(Origin))):
        if data[field] not in allowed:
            raise ValueError(f"{field} is {data[field]!r}, not one of {', '.join(allowed)}")
    _check_constraints(data)
    return Trial.from_json(data)


def parse_replicate(data: Any) -> Replicate:
    """Return the replicate that a decoded line stands for; raises as :func:`parse_trial`."""
    _check_record(data)
    _check_constraints(data)
    return Replicate.from_json(data)


def parse_audit(data: Any) -> Audit:
    """Return the audit that a decoded line stands for; raises as :func:`parse_trial`."""
    _check_record(data)
    _check_constraints(data)
    return Audit.from_json(data)


def _check_constraints(data: Mapping[str, Any]) -> None:
    constraints = data.get("constraints", {})  # replicates have had them since November 2026
    if not all(_is_number(value) for value in constraints.values()):
        raise ValueError("a constraint is not a number")


def _check_record(data: Any) -> None:
    """Raise where a decoded line cannot be a trial or a replicate of this schema."""
    if not isinstance(data, Mapping):
        raise ValueError("not an object")
    schema = data["schema"]
    if isinstance(schema, int) and schema > SCHEMA:
        raise NewerError(schema)
    if schema != SCHEMA:
        raise ValueError(f"schema {schema!r} is not the {SCHEMA} that this version reads")
    number = data["number"]
    if not isinstance(number, int) or isinstance(number, bool) or number < 0:
        raise ValueError(f"the trial number {number!r} is not a whole number from 0")
    for name, metric in data["metrics"].items():
        if not _is_number(metric["value"]):
            raise ValueError(f"the value of {name!r} is not a number: {metric['value']!r}")
        for end in (metric.get("low"), metric.get("high")):
            if end is not None and not _is_number(end):
                raise ValueError(f"the interval of {name!r} is not made of numbers: {end!r}")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
