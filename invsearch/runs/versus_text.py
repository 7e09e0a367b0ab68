"""Comparisons in words: which is better, at which cost, and how surely."""

from __future__ import annotations

from collections.abc import Iterator

from invsearch.metrics import metric_info
from invsearch.runs.difference import CLEAR, Difference
from invsearch.runs.equal_cost import KindCompared
from invsearch.runs.reliability import share

__all__ = ["kind_text", "pair_text"]


def pair_text(
    metric: str, names: tuple[str, str], found: Difference, ratio: tuple[str, float] | None
) -> str:
    """A sentence on two named networks.

    Args:
        metric: What is compared.
        names: The one and the other.
        found: How they differ.
        ratio: A cost, and the one's as a multiple of the other's.
    """
    one, other = names
    if found.probability < 0.5:
        one, other, found = other, one, found.reversed
        ratio = None if ratio is None else (ratio[0], 1 / ratio[1])
    at = "" if ratio is None else f" at {_times(ratio[1])} {_short(ratio[0])}"
    chance = f"{_chance(found.probability)} on this data ({_by(metric, found)})"
    return _verdict(_short(metric), found, (one, other), at, chance)


def kind_text(metric: str, cost: str, compared: KindCompared) -> str:
    """A sentence on the values of a setting; of more than two it ranks them.

    Args:
        metric: What is compared.
        cost: What was taken out.
        compared: How the values differ.
    """
    about = f"{_short(metric)} at equal {_short(cost)}"
    over = f"{compared.networks} networks, {_short(cost)} regressed out"
    throughout = compared.kind == "operator"
    where = " throughout the stages" if throughout else f" as the {compared.kind}"
    one, last = compared.ranked[0], compared.ranked[-1]
    found = compared.differences[one, last]
    if len(compared.ranked) == 2:
        chance = f"{_chance(found.probability)} ({_by(metric, found)}; {over})"
        return _verdict(about, found, (one, last), where, chance)
    chain = ", which ".join(_links(compared))
    apart = "".join(f"; yet {one} is better than {other}" for one, other in _over_ties(compared))
    return (
        f"{about}{where}, the best first: {compared.ranked[0]} {chain}{apart} (in brackets"
        f" how probably it is better; the first against the last: {_by(metric, found)}; {over})"
    )


def _links(compared: KindCompared) -> Iterator[str]:
    """Each value against the next, such as ``is better than involution (.93)``."""
    for one, other in _neighbours(compared):
        found = compared.differences[one, other]
        verdict = "is better than" if found.clear else "cannot be told from"
        yield f"{verdict} {other} ({_chance(found.probability)})"


def _over_ties(compared: KindCompared) -> Iterator[tuple[str, str]]:
    """The ends of what cannot be told apart link by link, where these can be."""
    ties: list[str] = []
    for one, other in (*_neighbours(compared), ("", "")):
        if one and not compared.differences[one, other].clear:
            ties = [*(ties or [one]), other]
            continue
        if len(ties) > 2 and (chance := compared.beyond_choice(ties[0], ties[-1])) >= CLEAR:
            yield ties[0], f"{ties[-1]} ({_chance(chance)})"
        ties = []


def _neighbours(compared: KindCompared) -> list[tuple[str, str]]:
    return list(zip(compared.ranked[:-1], compared.ranked[1:], strict=True))


def _verdict(about: str, found: Difference, names: tuple[str, str], how: str, chance: str) -> str:
    one, other = names
    if not found.clear:
        return (
            f"{about}: cannot tell {one} from {other}{how}: {one} is better with probability"
            f" {chance}"
        )
    return f"{about}: {one} is better than {other}{how} with probability {chance}"


def _by(metric: str, found: Difference) -> str:
    """The difference with its interval, in two digits: more are not known of it."""
    info = metric_info(metric)
    unit = f" {info.unit}" if info and info.unit else ""
    return f"difference {found.value:.2g} ({found.low:.2g} to {found.high:.2g}){unit}"


def _short(metric: str) -> str:
    info = metric_info(metric)
    return info.short if info else metric


def _times(ratio: float) -> str:
    """Such as ``.73 of the``, ``1.40 times the`` or ``the same``."""
    text = share(ratio)
    if text == "1.00":
        return "the same"
    return f"{text} of the" if ratio < 1 else f"{text} times the"


def _chance(value: float) -> str:
    """Such as ``.93``; never the certainty of ``1.00``, which no data give."""
    return "over .99" if value > 0.995 else share(value)
