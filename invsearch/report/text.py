"""Numbers, names and times as a person reads them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from datetime import datetime

from invsearch.metrics import KNOWN_METRICS, Direction, Fidelity, Metric
from invsearch.runs.trial import Trial

__all__ = [
    "axis_title", "bounds_text", "counted_noun", "display", "duration", "fidelity", "first_line",
    "interval", "joined", "label", "number_format", "parameter_groups", "plot_text", "rounded",
    "seconds_after", "short", "span", "span_seconds", "start_of", "trial_seconds",
]  # fmt: skip

_SHORT = {
    "params": "parameters",
    "macs": "MACs",
    "latency_ms": "latency",
    "peak_memory_bytes": "peak memory",
    "energy_mj": "energy",
    "top1": "top-1 accuracy",
    "error": "top-1 error",
    "val_loss": "validation loss",
}
_BYTES = ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"))
_SMALLEST, _LARGEST = 1e-4, 1e6  # between these a number is written without a power of ten
_SCALES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def label(metric: str, *, known: bool) -> str:
    """Return a metric's name with its unit, for an axis.

    Args:
        metric: The metric.
        known: Whether names mean what the suite means by them; an evaluator's are its own.
    """
    return KNOWN_METRICS[metric].label if known and metric in KNOWN_METRICS else metric


def short(metric: str, *, known: bool) -> str:
    """Return a metric's name without its unit, for a sentence; see :func:`label`."""
    return _SHORT.get(metric, metric) if known else metric


def axis_title(metric: str, direction: Direction | None, *, known: bool) -> str:
    """Return an axis title that says which way is better."""
    better = {"minimize": ", \u2193 better", "maximize": ", \u2191 better", None: ""}[direction]
    return f"{label(metric, known=known)}{better}"


def display(metric: str, value: float, *, known: bool) -> str:
    """Return a value with its unit, such as ``1.733 G`` for MACs or ``21.60 %`` for an error."""
    form = number_format(metric, known=known)
    if form["kind"] == "scaled":
        return _scaled(value, "#.4g")
    if form["kind"] == "bytes":
        scale, unit = next((pair for pair in _BYTES if abs(value) >= pair[0]), (1, "B"))
        return f"{_plain(value / scale)} {unit}"
    if form["kind"] == "percent":
        return f"{value:.2f} %"
    return _plain(value) + form["unit"]


def _plain(value: float) -> str:
    """Return four significant digits; whole numbers below a million keep all they have."""
    if _is_whole(value):
        return f"{value:.0f}"
    decimals = _decimals(value)
    if decimals is not None:
        return f"{value:.{decimals}f}"
    mantissa, exponent, power = f"{value:.3e}".partition("e")
    return f"{mantissa}e{int(power)}" if exponent else mantissa


def _is_whole(value: float) -> bool:
    return float(value).is_integer() and abs(value) < 1e6


def _decimals(value: float) -> int | None:
    """Return the decimals that four significant digits take; None where a power of ten is due."""
    if not _SMALLEST <= abs(value) < _LARGEST:
        return None
    return max(0, 3 - int(f"{value:.3e}".partition("e")[2]))


def number_format(metric: str, *, known: bool) -> dict[str, str]:
    """Return how the page's script writes a metric, as :func:`display` does here.

    Returns:
        ``kind``: ``scaled`` (k, M, G, T), ``bytes``, ``percent`` or ``plain``; ``unit``.
    """
    kinds = {"macs": "scaled", "params": "scaled", "peak_memory_bytes": "bytes"}
    kinds |= {"top1": "percent", "error": "percent"}
    units = {"latency_ms": " ms", "energy_mj": " mJ", "val_loss": " nats"}
    if not known:
        return {"kind": "plain", "unit": ""}
    return {"kind": kinds.get(metric, "plain"), "unit": units.get(metric, "")}


def rounded(value: float | None, digits: int = 7) -> float | None:
    """Round to significant digits; whole numbers stay as they are.

    The page carries thousands of numbers, each read to four digits.
    """
    if value is None or isinstance(value, int):
        return value
    if not math.isfinite(value):
        return None
    short_value = float(f"{value:.{digits}g}")
    return int(short_value) if short_value.is_integer() and abs(value) < 1e15 else short_value


def _scaled(value: float, form: str) -> str:
    for scale, suffix in _SCALES:
        if abs(value) >= scale:
            return f"{format(value / scale, form).rstrip('.')} {suffix}"
    return f"{value:.4g}"


def interval(metric: Metric, *, known: bool) -> str:
    """Return the 95 % interval as text; empty where there is none."""
    if metric.low is None or metric.high is None:
        return ""
    return span(metric.name, metric.low, metric.high, known=known)


def span(metric: str, low: float, high: float, *, known: bool) -> str:
    """Return two values as ``low to high``, a common unit once; one value where they look alike."""
    first, last = _ends(metric, low, high, known=known)
    if first == last:
        return first
    number, _, unit = first.partition(" ")
    return f"{number if unit and last.endswith(f' {unit}') else first} to {last}"


def _ends(metric: str, low: float, high: float, *, known: bool) -> tuple[str, str]:
    """Return two values, with as many decimals each where they are of one size."""
    form = number_format(metric, known=known)
    small, large = sorted((abs(low), abs(high)))
    decimals = _decimals(large)
    alike = form["kind"] == "plain" and not (_is_whole(low) and _is_whole(high))
    if not alike or decimals is None or small < large / 1e3:
        return display(metric, low, known=known), display(metric, high, known=known)
    return f"{low:.{decimals}f}{form['unit']}", f"{high:.{decimals}f}{form['unit']}"


def fidelity(spent: Fidelity | None) -> str:
    """Return what was spent on a trained metric, such as ``6/6 epochs, 8 px, digits``."""
    if spent is None:
        return ""
    parts = [f"{spent.epochs}/{spent.max_epochs} epochs", f"{spent.resolution} px"]
    parts += [f"width {spent.width:g}"] if spent.width != 1 else []
    parts += [f"{spent.data_fraction:.0%} of the data"] if spent.data_fraction != 1 else []
    return ", ".join([*parts, *([spent.dataset] if spent.dataset else [])])


def parameter_groups(trial: Trial) -> list[str]:
    """Return an architecture in words, a string per part of the network.

    Returns:
        Such as ``["depth=50 width=0.5", "stage1: operator=involution kernel_size=7"]``.
    """
    groups: dict[str, list[str]] = {}
    for name, value in trial.architecture.items():
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
    if known and name in ("macs", "params"):
        return _scaled(bound, "g")
    return display(name, bound, known=known)
