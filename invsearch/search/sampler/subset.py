"""Which trials the models see where there are too many for them.

A Gaussian process costs the cube of its points to fit and their square for every candidate, and
after some hundreds of trials further ones far from the front change no proposal: what decides is
known well near the front, and roughly elsewhere. So beyond :data:`MODELLED` trials the models are
given a part of them: half the first fronts, layer by layer, where the next improvement lies; a
quarter the latest trials, which tell whether the model was right where it last looked; the rest
evenly by number, which the start spread over the space. Fewer observations never narrow a Gaussian
process, so what is left out is only explored more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from invsearch.search.sampler.boxes import leading
from invsearch.search.sampler.history import History, Record

__all__ = ["MODELLED", "modelled"]

T = TypeVar("T")

MODELLED = 600  # trials: twice what is fitted to, 0.1 s an ask, and more than our contests have


def modelled(history: History, most: int = MODELLED) -> History:
    """The history with at most about ``most`` trials of each kind for the models.

    What was proposed (``seen``, ``pending``, ``everything``) stays whole.

    Args:
        history: Of the study.
        most: Evaluated trials that are kept; half as many stopped and failed ones.
    """
    kinds = (history.evaluated, history.stopped, history.failed)
    if all(len(kind) <= most for kind in kinds):
        return history
    return replace(
        history,
        evaluated=_near_the_front(history.evaluated, most),
        stopped=_evenly(history.stopped, most // 2),
        failed=_evenly(history.failed, most // 2),
    )


def _near_the_front(records: list[Record], most: int) -> list[Record]:
    if len(records) <= most:
        return records
    feasible = np.flatnonzero([record.feasible for record in records])
    values = np.array([records[row].values for row in feasible])
    front = feasible[_cut(leading(values, most // 2), most // 2)] if len(feasible) else feasible
    latest = np.arange(len(records) - most // 4, len(records))
    kept = np.union1d(front, latest)
    others = np.setdiff1d(np.arange(len(records)), kept)
    rows = np.union1d(kept, others[_places(len(others), most - len(kept))])
    return [records[row] for row in rows]


def _cut(layers: NDArray[np.intp], most: int) -> NDArray[np.intp]:
    """The first ``most``; of a first front that is larger, evenly."""
    return layers[_places(len(layers), most)] if len(layers) > 2 * most else layers[:most]


def _evenly(records: Sequence[T], most: int) -> list[T]:
    return [records[row] for row in _places(len(records), most)]


def _places(count: int, most: int) -> NDArray[np.intp]:
    """At most ``most`` of the numbers below ``count``, evenly."""
    return np.linspace(0, count - 1, min(count, most)).astype(np.intp)
