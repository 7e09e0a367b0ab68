"""Bounds on metrics in words: which one a trial breaks, and which one left the front empty."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence

from invsearch.runs.trial import Trial
from invsearch.value import compact

__all__ = ["Bounds", "broken_bounds", "nothing_meets", "why_no_front"]

Bounds = Mapping[str, Mapping[str, float]]
"""By metric, the ends ``min`` and ``max`` that are given."""

_SIGNS = {"max": "<=", "min": ">="}
_EXTREME = {"max": ("the smallest", min), "min": ("the largest", max)}


def broken_bounds(values: Mapping[str, float], bounds: Bounds) -> str:
    """Say which bounds some values break, such as ``macs 301.8M breaks macs <= 1k``."""
    return ", ".join(
        f"{name} {compact(values[name])} breaks {_text(name, end, bound)}"
        for name, end, bound in _each(bounds)
        if name in values and _breaks(values[name], end, bound)
    )


def nothing_meets(seen: Mapping[str, Collection[float]], bounds: Bounds) -> str:
    """Say which bounds none of the values seen keeps, and the best of them; empty if none is.

    Args:
        seen: By metric, all its values.
        bounds: The bounds.
    """
    parts = []
    for name, end, bound in _each(bounds):
        values = seen.get(name, ())
        if values and all(_breaks(value, end, bound) for value in values):
            words, best = _EXTREME[end]
            parts.append(f"{_text(name, end, bound)}; {words} is {compact(best(values))}")
    return f"nothing meets {', and nothing '.join(parts)}" if parts else ""


def why_no_front(trials: Sequence[Trial], bounds: Bounds) -> str:
    """Say in a sentence why no trial is on the front."""
    if not trials:
        return "no trial has ended"
    judged = [trial for trial in trials if trial.state in ("complete", "infeasible")]
    values = {name: [t.metrics[name].value for t in judged if name in t.metrics] for name in bounds}
    if judged and (one := nothing_meets(values, bounds)):
        return one
    if any(trial.state == "complete" for trial in judged):
        broken = Counter(
            _text(name, end, bound)
            for trial in judged
            for name, end, bound in _each(bounds)
            if name in trial.metrics and _breaks(trial.metrics[name].value, end, bound)
        )
        counts = ", ".join(f"{text} broken by {count}" for text, count in broken.most_common())
        return f"no trial of {len(trials)} meets every bound: {counts}"
    states = Counter(trial.state for trial in trials)
    reasons = Counter(trial.error.partition("\n")[0] for trial in trials if trial.error)
    text = "no trial completed: " + ", ".join(f"{n} {state}" for state, n in states.most_common())
    return f"{text}; most often: {reasons.most_common(1)[0][0]}" if reasons else text


def _each(bounds: Bounds) -> Iterator[tuple[str, str, float]]:
    for name, ends in bounds.items():
        for end, bound in ends.items():
            yield name, end, bound


def _text(name: str, end: str, bound: float) -> str:
    return f"{name} {_SIGNS[end]} {compact(bound, 6)}"


def _breaks(value: float, end: str, bound: float) -> bool:
    return value > bound if end == "max" else value < bound
