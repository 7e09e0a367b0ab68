"""Strategy: how a search chooses what it evaluates next."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

    from invsearch.problem.problem import Problem

__all__ = ["SamplerFactory", "Strategy"]

SamplerFactory = Callable[[int], "BaseSampler"]
"""Makes the sampler of one proposal from its seed."""


@dataclass(frozen=True)
class Strategy:
    """How a search chooses what it evaluates next.

    A sampler is made anew for every proposal, from a seed that the search derives from its own and
    the trial's number: what is proposed next then depends on the study alone, and a resumed search
    goes on as an uninterrupted one would (Optuna's samplers repeat themselves otherwise). A sampler
    that derives its seeds itself may be one and the same each time, for what it has cached.

    Attributes:
        samplers: Gives, for a problem, what makes the sampler of each proposal.
        enumerates: Whether architectures are taken in the space's own order, all of them, and the
            sampler is asked for what was enqueued alone.
        avoids_failures: Whether its sampler keeps away by itself from where trials fail; else what
            it proposes there is mostly passed over.
        slow: Whether a proposal takes seconds: it is compared with others only where it is named.
    """

    samplers: Callable[[Problem], SamplerFactory]
    enumerates: bool = False
    avoids_failures: bool = False
    slow: bool = False
