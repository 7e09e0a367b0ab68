"""Numbers, names and times as a person reads them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from invsearch.metrics import Direction, Fidelity, Metric, MetricInfo, metric_info
from invsearch.runs.columns import shown_name
from invsearch.runs.trial import Trial
from invsearch.value import PLAIN, NumberFormat, compact, number, number_span

__all__ = [
    "axis_title", "bounds_text", "counted_noun", "display", "duration", "fidelity", "first_line",
    "interval", "joined", "label", "number_format", "parameter_groups", "pixels",
    "plot_text", "seconds_after", "short", "span", "span_seconds", "start_of", "trial_seconds",
]  # fmt: skip


def _info(metric: str, *, known: bool) -> MetricInfo | None:
    return metric_info(metric) if known else None


def label(metric: str, *, known: bool) -> str:
    """Return a metric's name with its unit, for an axis.

    Args:
        metric: The metric.
        known: Whether names mean what the suite means by them; an evaluator's are its own.
    """
    info = _info(metric, known=known)
    return info.label if info else metric


def short(metric: str, *, known: bool) -> str:
    """Return a metric's name without its unit, for a sentence; see :func:`label`."""
    info = _info(metric, known=known)
    return info.short if info else metric


def axis_title(metric: str, direction: Direction | None, *, known: bool) -> str:
    """Return an axis title that says which way is better."""
    better = {"minimize": ", \u2193 better", "maximize": ", \u2191 better", None: ""}[direction]
    return f"{label(metric, known=known)}{better}"


def number_format(metric: str, *, known: bool) -> NumberFormat:
    """Return how a metric's values are written; see :func:`label`."""
    info = _info(metric, known=known)
    return info.format if info else PLAIN


def display(metric: str, value: float, *, known: bool) -> str:
    """Return a value with its unit, such as ``1.733 G`` for MACs or ``21.60 %`` for an error."""
    return number(value, number_format(metric, known=known))


def pixels(size: Sequence[int]) -> str:
    """Return an image's size, given as (height, width), as it is called: ``1280 x 800``."""
    height, width = size
    return f"{width} x {height}"


def interval(metric: Metric, *, known: bool) -> str:
    """Return the 95 % interval as text; empty where there is none."""
    if metric.low is None or metric.high is None:
        return ""
    return span(metric.name, metric.low, metric.high, known=known)


def span(metric: str, low: float, high: float, *, known: bool) -> str:
    """Return two values as ``low to high``, a common unit once; one value where they look alike."""
    return number_span(low, high, number_format(metric, known=known))


def fidelity(spent: Fidelity | None) -> str:
    """Return what was spent on a trained metric, such as ``6/6 epochs, 8 px, digits``."""
    if spent is None:
        return ""
    parts = [f"{spent.epochs}/{spent.max_epochs} epochs", f"{spent.resolution} px"]
    parts += [f"width {spent.width:g}"] if spent.width != 1 else []
    parts += [f"{spent.data_fraction:.0%} of the data"] if spent.data_fraction != 1 else []
    parts += [spent.dataset] if spent.dataset else []
    return ", ".join([*parts, *([spent.precision] if spent.precision != "fp32" else [])])


def parameter_groups(trial: Trial) -> list[str]:
    """Return an architecture in words, a string per part of the network.

    Returns:
        Such as ``["depth=50 width=0.5", "stage1: operator=involution kernel_size=7"]``.
    """
    groups: dict[str, list[str]] = {}
    for own, value in trial.architecture.items():
        name = shown_name(own, trial)
        part, dot, parameter = name.rpartition(".")
        groups.setdefault(part + ": " if dot else "", []).append(f"{parameter}={value}")
    return [part + " ".join(pairs) for part, pairs in groups.items()]


def duration(seconds: float) -> str:
    """Return a length of time in its two largest units."""
    if not math.isfinite(seconds) or seconds < 1:
        return "under a second"
    total = round(seconds)
    hours, minutes, rest = total // 3600, total // 60 % 60, total % 60
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _time(text: str) -> datetime | None:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return time if time.tzinfo else None


def start_of(trials: Iterable[Trial]) -> datetime | None:
    """Return when the first of the trials began, None where no times are known."""
    times = (_time(trial.started) for trial in trials)
    return min((time for time in times if time), default=None)


def seconds_after(start: datetime, trial: Trial) -> float | None:
    """Return how long after a start a trial ended, None where that is not known."""
    end = _time(trial.finished)
    return (end - start).total_seconds() if end else None


def span_seconds(trials: Iterable[Trial]) -> float | None:
    """Return the seconds from the first start to the last end, None where no times are known."""
    pairs = [(_time(trial.started), _time(trial.finished)) for trial in trials]
    starts = [start for start, _ in pairs if start]
    ends = [end for _, end in pairs if end]
    return (max(ends) - min(starts)).total_seconds() if starts and ends else None


def trial_seconds(trial: Trial) -> float | None:
    """Return how long a trial took, None where its times are not known."""
    return span_seconds([trial])


def counted_noun(number: int, noun: str, plural: str | None = None) -> str:
    """Return ``1 trial`` or ``3 trials``."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def joined(parts: Iterable[str]) -> str:
    """Return ``a``, ``a and b`` or ``a, b and c``."""
    *first, last = parts
    return f"{', '.join(first)} and {last}" if first else last


def plot_text(text: str) -> str:
    """Escape text for plotly, which reads a few HTML tags in every label."""
    clean = re.sub(r"[\x00-\x1f\x7f]", " ", text)
    for character, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        clean = clean.replace(character, entity)
    # A leading and trailing dollar would ask for MathJax.
    return clean.replace("$", "&#36;")


def first_line(text: str | None) -> str:
    """Return the first line of a reason."""
    return (text or "no reason recorded").strip().splitlines()[0] if (text or "x").strip() else ""


def bounds_text(constraints: Mapping[str, Mapping[str, float]], *, known: bool) -> list[str]:
    """Return each constraint in words, such as ``MACs at most 3 G``."""
    words = {"max": "at most", "min": "at least"}
    return [
        f"{short(name, known=known)} {words[end]} {_bound(name, bound, known=known)}"
        for name, bounds in constraints.items()
        for end, bound in bounds.items()
    ]


def _bound(name: str, bound: float, *, known: bool) -> str:
    """Write a bound as it was given: ``3 G``, not ``3.000 G``."""
    if number_format(name, known=known).kind != "scaled":
        return display(name, bound, known=known)
    text = compact(bound, digits=6)
    return f"{text[:-1]} {text[-1]}" if text[-1].isalpha() else text
