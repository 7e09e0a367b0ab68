"""What a run found, in sentences written from its data."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from invsearch.metrics import Direction
from invsearch.report.text import (
    bounds_text,
    counted_noun,
    display,
    duration,
    first_line,
    interval,
    joined,
    parameter_groups,
    short,
    span,
    span_seconds,
)
from invsearch.runs import FrontMember, RunData, Trial
from invsearch.runs.front import oriented

__all__ = ["Pick", "environment_rows", "failures", "picks", "repeat_command", "sentences"]


@dataclass(frozen=True)
class Pick:
    """A recommended member of the front.

    Attributes:
        why: What it is best at.
        number: Its trial.
        values: The objectives' values as text, with intervals.
        architecture: Its parameters, a line per part of the network.
        p_front: Its probability of being on the front.
    """

    why: str
    number: int
    values: str
    architecture: list[str]
    p_front: float


def sentences(run: RunData) -> list[str]:
    """Return the summary: what was searched, what became of the trials, what the front is."""
    parts = [_searched(run), _trials(run)]
    return [part for part in [*parts, _front(run)] if part]


def _searched(run: RunData) -> str:
    if not run.objectives:
        return "The run has no readable space file, so its trials cannot be ranked."
    known = run.outline.model
    by = f", by {run.outline.search['strategy']}," if "strategy" in run.outline.search else ""
    text = f"This run searched{by} for what would {_aims(run.objectives, known=known)}"
    bounds = bounds_text(run.constraints, known=known)
    text += f" with {joined(bounds)}" if bounds else ""
    return f"{text}{_accuracy(run)}."


def _aims(objectives: Mapping[str, Direction], *, known: bool) -> str:
    """Return such as ``maximize top-1 accuracy and minimize MACs and latency``."""
    names: dict[str, list[str]] = {}
    for name, direction in objectives.items():
        names.setdefault(direction, []).append(short(name, known=known))
    return joined(f"{direction} {joined(group)}" for direction, group in names.items())


def _accuracy(run: RunData) -> str:
    if not run.outline.model:
        return ""
    spent = {
        metric.fidelity.dataset
        for trial in run.trials
        for metric in trial.metrics.values()
        if metric.fidelity and metric.fidelity.dataset
    }
    if spent:
        return f", training on {joined(sorted(spent))}"
    published = run.outline.accuracy.get("source") == "published"
    return ", taking accuracies from the paper" if published else ""


_STATES = {
    "complete": "completed",
    "stopped": "stopped early",
    "failed": "failed",
    "infeasible": "infeasible",
}


def _trials(run: RunData) -> str:
    if not run.trials:
        return "No trial has been logged yet."
    total = counted_noun(len(run.trials), "trial")
    counts = Counter[str](trial.state for trial in run.trials)
    parts = [f"{counts[state]:,} {words}" for state, words in _STATES.items() if counts[state]]
    if len(parts) == 1:
        parts = [parts[0].replace(parts[0].split()[0], "all", 1)]
    text = f"Of {total}, {joined(parts)}"
    baselines = sum(trial.origin == "baseline" for trial in run.trials)
    if baselines:
        text += f"; {baselines} of them {'is a baseline' if baselines == 1 else 'are baselines'}"
    seconds = span_seconds(run.trials)
    took = f" From the first start to the last end it took {duration(seconds)}." if seconds else ""
    return f"{text}.{took}"


def _front(run: RunData) -> str:
    if not run.members:
        return "No complete trial has every objective, so there is no front." if run.trials else ""
    known = run.outline.model
    spans = [_span(run, name, known=known) for name in run.objectives]
    doubtful = sum(member.doubtful for member in run.members)
    text = f"The front holds {counted_noun(len(run.members), 'architecture')}: {joined(spans)}"
    if not doubtful:
        return f"{text}."
    verb = "is" if doubtful == 1 else "are"
    return (
        f"{text}; {doubtful} of them {verb} more likely dominated than not, given the intervals,"
        f" and {verb} not recommended."
    )


def _span(run: RunData, name: str, *, known: bool) -> str:
    values = [member.trial.metrics[name].value for member in run.members]
    return f"{short(name, known=known)} {span(name, min(values), max(values), known=known)}"


def picks(run: RunData) -> list[Pick]:
    """Return the members to look at first: the best of each objective and the most balanced.

    Doubtful members are never among them. The most balanced is the nearest, with every objective's
    range on the front scaled to one, to the best value of each.
    """
    sure = [member for member in run.members if not member.doubtful]
    if not sure:
        return []
    points = oriented([member.trial for member in sure], run.objectives)
    known = run.outline.model
    named: list[tuple[str, int]] = []
    for column, (name, direction) in enumerate(run.objectives.items()):
        most = "lowest" if direction == "minimize" else "highest"
        named.append((f"{most} {short(name, known=known)}", int(points[:, column].argmin())))
    if len(run.objectives) > 1 and len(sure) > 2:
        span = points.max(axis=0) - points.min(axis=0)
        scaled = (points - points.min(axis=0)) / [float(width) or 1.0 for width in span]
        named.append(("most balanced", int((scaled**2).sum(axis=1).argmin())))
    whys: dict[int, list[str]] = {}
    for why, index in named:
        whys.setdefault(index, []).append(why)
    return [_pick(run, sure[index], joined(reasons)) for index, reasons in whys.items()]


def _pick(run: RunData, member: FrontMember, why: str) -> Pick:
    known = run.outline.model
    values = []
    for name in run.objectives:
        metric = member.trial.metrics[name]
        ends = interval(metric, known=known)
        around = f" [{ends}]" if ends else ""
        values.append(
            f"{short(name, known=known)} {display(name, metric.value, known=known)}{around}"
        )
    return Pick(
        why=why,
        number=member.trial.number,
        values="; ".join(values),
        architecture=parameter_groups(member.trial),
        p_front=member.p_front,
    )


def failures(trials: Sequence[Trial]) -> list[tuple[str, int, list[int]]]:
    """Return each reason of failed and infeasible trials with its count and first trials."""
    reasons: dict[str, list[int]] = {}
    for trial in trials:
        if trial.state in ("failed", "infeasible"):
            reasons.setdefault(f"{trial.state}: {first_line(trial.error)}", []).append(trial.number)
    ordered = sorted(reasons.items(), key=lambda item: (-len(item[1]), item[0]))
    return [(reason, len(numbers), numbers[:8]) for reason, numbers in ordered]


def _option(arguments: Sequence[str], name: str) -> str | None:
    for index, argument in enumerate(arguments):
        if argument == name and index + 1 < len(arguments):
            return arguments[index + 1]
        if argument.startswith(f"{name}="):
            return argument.partition("=")[2]
    return None


def repeat_command(run: RunData) -> str:
    """Return the command that repeats a run from its own folder into a new one.

    Trials, seed, executor and mode are those of the recorded command where it gave them, else the
    space file's. The folder's space file has every ``--set`` applied.
    """
    recorded = run.environment.get("command")
    given = [str(argument) for argument in recorded] if isinstance(recorded, list) else []
    folder = _near(run.path)
    words = ["invsearch", "run", str(folder / "space.yaml"), "--out", f"{folder}-again"]
    for option, key in (("--trials", "trials"), ("--seed", "seed"), ("--executor", "")):
        value = _option(given, option) or run.outline.search.get(key)
        words += [option, value] if value else []
    words += ["--deterministic"] if "--deterministic" in given else []
    return shlex.join(words)


def _near(path: Path) -> Path:
    """Return a path as seen from the current folder where it lies under it."""
    try:
        return path.resolve().relative_to(Path.cwd().resolve())
    except ValueError:
        return path


def _fact(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def environment_rows(environment: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Flatten ``environment.json`` into ``(name, value)`` rows."""
    rows: list[tuple[str, str]] = []
    for key, value in environment.items():
        if key == "command" and isinstance(value, list) and value:
            program = [] if Path(str(value[0])).name == "invsearch" else ["invsearch"]
            rows.append(("started by", shlex.join([*program, *map(str, value)])))
            continue
        name = f"{prefix}{key}".replace("_", " ")
        if isinstance(value, Mapping):
            rows += environment_rows(value, f"{prefix}{key} / ")
        elif isinstance(value, (list, tuple)):
            rows.append((name, ", ".join(map(_fact, value))))
        elif value not in (None, ""):
            rows.append((name, _fact(value)))
    return rows
