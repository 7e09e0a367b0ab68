"""`--against`: an earlier document and a new one, case by case."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from invsearch.bench.case import Result
from invsearch.errors import InputError
from ops.timing import Interval, Verdict

__all__ = ["Change", "compare_documents", "load_document"]

SCHEMA = 1  # of the JSON; rises with every change that readers must know of
SAME_MACHINE = ("cpu_model", "cpu_capability", "logical_cores", "gpu")


@dataclass(frozen=True)
class Change:
    """One candidate of one case, now against earlier.

    Attributes:
        case: Name of the case.
        candidate: Name in the case.
        speedup: How many times faster it is now, with a 95 % interval.
        verdict: `faster`, `slower`, `same` or `cannot tell`.
        reason: Why one cannot tell, where it is not the interval alone.
    """

    case: str
    candidate: str
    speedup: Interval
    verdict: Verdict
    reason: str | None

    def as_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {**asdict(self), "speedup": self.speedup._asdict()}


def load_document(path: Path) -> dict[str, Any]:
    """Reads what `invsearch bench --json` printed.

    Raises:
        InputError: If the file cannot be read, or holds something else.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"--against {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise InputError(f"--against {path}: not JSON: {error}") from error
    if not isinstance(document, dict) or document.get("kind") != "bench":
        raise InputError(f"--against {path}: not a document of invsearch bench --json")
    if document.get("schema") != SCHEMA:
        found = document.get("schema")
        raise InputError(f"--against {path}: schema {found!r}, this version reads {SCHEMA}")
    return document


def compare_documents(
    earlier: Mapping[str, Any], now: Mapping[str, Any], margin: float = 0.05
) -> list[Change]:
    """The candidates that both documents have, in the order of the new one.

    Another machine, device, number of threads or cache state cannot be told apart from a change of
    the code: every verdict is then `cannot tell`, with that reason.

    Raises:
        InputError: If the earlier document lacks something.
    """
    other = _other_circumstances(earlier, now)
    try:
        before = {case["name"]: Result.from_dict(case) for case in earlier["cases"]}
        after = [Result.from_dict(case) for case in now["cases"]]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"--against: the earlier document is damaged: {error!r}") from error
    return [
        _change(result.name, name, before[result.name], result, margin, other)
        for result in after
        if result.name in before
        for name in result.comparison.measurements
        if name in before[result.name].comparison.measurements
    ]


def _change(
    case: str, name: str, before: Result, after: Result, margin: float, other: str | None
) -> Change:
    new, old = after.comparison.measurements[name], before.comparison.measurements[name]
    verdict = "cannot tell" if other else new.against(old, margin)
    disturbed = new.flags or old.flags
    reason = other or (disturbed[0] if disturbed and verdict == "cannot tell" else None)
    return Change(case, name, new.speedup(old), verdict, reason)


def _other_circumstances(earlier: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    for key in SAME_MACHINE:
        old, new = (document["environment"].get(key) for document in (earlier, now))
        if old != new:
            return f"another machine: {key} was {old}, is {new}"
    for key in ("threads", "device", "cache"):
        old, new = (document["settings"].get(key) for document in (earlier, now))
        if old != new:
            return f"other settings: {key} was {old}, is {new}"
    return None
