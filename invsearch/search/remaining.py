"""What is left of a search, as far as its trials so far tell."""

from __future__ import annotations

import time

from invsearch.search.session import Session

__all__ = ["remaining", "remaining_s"]

_MINUTE_S, _HOUR_S = 60.0, 3600.0


def remaining_s(session: Session) -> tuple[float, str] | None:
    """Estimate when a search ends: by its trials, at the speed so far, or by its time before that.

    Returns:
        Seconds, and by what; None where nothing tells yet.
    """
    known: list[tuple[float, str]] = []
    fresh = session.counted - sum(trial.counts for trial in session.trials[: session.resumed])
    took = time.monotonic() - session.started
    if fresh > 0:
        left = max(0, session.trials_wanted - session.counted)
        known.append((left * took / fresh, "trials"))
    if session.remaining_s is not None:
        known.append((session.remaining_s, "search.timeout"))
    stopping = session.watch.stopping
    if stopping is not None and stopping.left_s is not None:
        known.append((stopping.left_s, "search.stop.hours"))
    return min(known, default=None)


def remaining(session: Session) -> str:
    """The estimate in words, and how near a plateau is; empty where nothing tells yet."""
    found, words = remaining_s(session), list[str]()
    if found is not None:
        seconds, by = found
        words.append(f"about {_duration(seconds)} left" + (f" ({by})" if by != "trials" else ""))
    stopping = session.watch.stopping
    if stopping is not None and stopping.gain is not None:
        words.append(f"gained {stopping.gain:.1%} lately")
    return "  ".join(words)


def _duration(seconds: float) -> str:
    if seconds < 2 * _MINUTE_S:
        return f"{seconds:.0f} s"
    if seconds < 2 * _HOUR_S:
        return f"{seconds / _MINUTE_S:.0f} min"
    return f"{seconds / _HOUR_S:.1f} h"
