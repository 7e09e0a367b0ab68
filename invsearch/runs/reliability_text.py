"""What a reliability means, in sentences for the terminal and the page."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from invsearch.metrics import KNOWN_METRICS
from invsearch.runs.load import RunData
from invsearch.runs.reliability import FEW, GOOD, LEAST, Reliability, share
from invsearch.runs.trial import Trial
from invsearch.value import PLAIN, number

__all__ = ["reliability_lines", "reliability_text"]

_HOURS = 120  # minutes: above, hours are easier to read
_MANY = 20  # seeds: more than a front's network is ever trained from


def reliability_lines(run: RunData) -> list[str]:
    """Return a line for each objective that was trained, saying what its figures can tell."""
    return list(_lines(run))


def _lines(run: RunData) -> Iterable[str]:
    for name in run.objectives:
        found = run.reliabilities.get(name)
        if found is not None:
            yield reliability_text(name, found, seconds=_training_seconds(run, name))
        elif name in run.seeds:
            yield (
                f"{name}: no network was trained from two seeds, so nothing says what is noise; "
                "search.early_replicates or `invsearch train RUN TRIAL` tell"
            )


def _training_seconds(run: RunData, name: str) -> float | None:
    """The median time of a training, None where no times are known."""
    complete = [t for t in run.trials if t.state == "complete" and t.number in run.seeds[name]]
    spans = sorted(span for trial in complete if (span := _seconds(trial)) is not None)
    return spans[len(spans) // 2] if spans else None


def _seconds(trial: Trial) -> float | None:
    try:
        ends = [datetime.fromisoformat(end) for end in (trial.started, trial.finished)]
        return (ends[1] - ends[0]).total_seconds()
    except (ValueError, TypeError):
        return None


def reliability_text(name: str, found: Reliability, *, seconds: float | None = None) -> str:
    """Say what differences of a trained metric mean, and what to do where they mean little.

    Args:
        name: The metric.
        found: Its reliability.
        seconds: What a training takes, where that is known.
    """
    info = KNOWN_METRICS.get(name)
    noise = number(float(f"{found.noise:.2g}"), info.format if info else PLAIN)
    text = (
        f"{name}: on this data and budget, differences below {noise} are noise (two networks of "
        f"one seed each); reliability of the ranking {share(found.value)} ({share(found.low)} to "
        f"{share(found.high)}; {found.n} networks, {found.trainings} trainings)"
    )
    if found.value >= GOOD:
        return text
    if found.value >= LEAST:
        return f"{text}; {_more(found, seconds)}"
    few = f"{FEW} seeds a network would give {share(found.of_means(FEW))} (Spearman-Brown)"
    shortlist = f"this front is a shortlist of costs, not a ranking by {name}"
    return f"{text}: {shortlist}; {few}, {_more(found, seconds)}"


def _more(found: Reliability, seconds: float | None) -> str:
    """How to reach a good reliability, in numbers."""
    seeds = found.seeds_for(GOOD)
    if seeds is None or seeds > _MANY:
        reached = share(found.of_means(_MANY))
        way = f"not even {_MANY} seeds a network reach {share(GOOD)} (they reach {reached})"
    else:
        way = f"{seeds} seeds a network reach {share(GOOD)} (`invsearch train RUN TRIAL --seeds`)"
    wanted = found.seed_sd * (GOOD / (1 - GOOD)) ** 0.5
    return (
        f"{way}{_price(found, seconds)}; or a wider space, whose architectures differ by "
        f"{wanted:.2g} instead of {found.architecture_sd:.2g}; or more epochs and images, which "
        f"bring seeds together{_budget(found)}"
    )


def _price(found: Reliability, seconds: float | None) -> str:
    """What one more seed of every network takes."""
    if not seconds or seconds <= 0:
        return ""
    minutes = found.n * seconds / 60
    time = f"{minutes / 60:.2g} hours" if minutes >= _HOURS else f"{minutes:.2g} minutes"
    return f", and one more seed of all {found.n} takes {time} of one worker"


def _budget(found: Reliability) -> str:
    """How much closer the seeds must come, and what that would be where it follows the budget."""
    factor = found.budget_for(GOOD)
    if not 1 < factor <= _MANY:
        return ""
    near = found.seed_sd / factor**0.5
    return (
        f" (from {found.seed_sd:.2g} to {near:.2g} for {share(GOOD)}: {factor:.2g} x the epochs or"
        " images, if their variance falls in proportion)"
    )
