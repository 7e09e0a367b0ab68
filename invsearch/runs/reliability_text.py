"""What a reliability means, in sentences for the terminal and the page."""

from __future__ import annotations

from collections.abc import Iterable

from invsearch.metrics import KNOWN_METRICS
from invsearch.runs.load import RunData
from invsearch.runs.reliability import GOOD, LEAST, Reliability

__all__ = ["reliability_lines", "reliability_text"]

_MANY = 20  # seeds: more than a front's network is ever trained from


def reliability_lines(run: RunData) -> list[str]:
    """Return a line for each objective that was trained, saying what its figures can tell."""
    return list(_lines(run))


def _lines(run: RunData) -> Iterable[str]:
    for name in run.objectives:
        found = run.reliabilities.get(name)
        if found is not None:
            yield reliability_text(name, found)
        elif name in run.seeds:
            yield (
                f"{name}: no network was trained from two seeds, so nothing says what is noise; "
                "search.early_replicates or `invsearch train RUN TRIAL` tell"
            )


def reliability_text(name: str, found: Reliability) -> str:
    """Say what differences of a trained metric mean, and what to do where they mean little.

    Args:
        name: The metric.
        found: Its reliability.
    """
    info = KNOWN_METRICS.get(name)
    noise = f"{found.noise:.2g} {info.unit if info else ''}".rstrip()
    text = (
        f"{name}: on this data and budget, differences below {noise} are noise (two networks of "
        f"one seed each); reliability of the ranking {_share(found.value)} ({_share(found.low)} to "
        f"{_share(found.high)}; {found.n} networks, {found.trainings} trainings)"
    )
    if found.value >= GOOD:
        return text
    if found.value >= LEAST:
        return f"{text}; {_more(found)}"
    return f"{text}: this front is a shortlist of costs, not a ranking by {name}; {_more(found)}"


def _more(found: Reliability) -> str:
    """How to reach a good reliability, in numbers."""
    seeds = found.seeds_for(GOOD)
    if seeds is None or seeds > _MANY:
        reached = _share(found.of_means(_MANY))
        way = f"not even {_MANY} seeds a network reach {_share(GOOD)} (they reach {reached})"
    else:
        way = f"{seeds} seeds a network reach {_share(GOOD)} (`invsearch train RUN TRIAL --seeds`)"
    wanted = found.seed_sd * (GOOD / (1 - GOOD)) ** 0.5
    return (
        f"{way}; or a wider space, whose architectures differ by {wanted:.2g} instead of "
        f"{found.architecture_sd:.2g}; or more epochs and images, which bring seeds together"
    )


def _share(value: float) -> str:
    """Such as ``.58``, as correlations are written; ``1.00`` and ``.00`` at the ends."""
    return f"{value:.2f}".removeprefix("0")
