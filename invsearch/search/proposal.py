"""What a search asks to be evaluated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from invsearch.metrics import Metric
from invsearch.runs.trial import Origin, Trial
from invsearch.space.architecture import Architecture

__all__ = ["Proposal", "infeasible_trial", "proposal_from"]


@dataclass(frozen=True)
class Proposal:
    """An architecture that is to be evaluated.

    Attributes:
        number: Its trial's number.
        architecture: The point of the space.
        seed: Seed of its evaluation.
        origin: Who asked for it.
        handle: Number of the Optuna trial behind it.
        metrics: What is known or was measured before the evaluation.
        replicate: Whether it is a further seed of a finished trial (which has no Optuna trial).
    """

    number: int
    architecture: Architecture
    seed: int
    origin: Origin
    handle: int
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    replicate: bool = False


def proposal_from(handle: int, attributes: Mapping[str, Any]) -> Proposal:
    """The proposal that an Optuna trial's user attributes tell of, for another evaluation."""
    origin = attributes.get("origin", "sampler")
    return Proposal(
        number=attributes["number"],
        architecture=Architecture(tuple(attributes["architecture"].items())),
        seed=attributes["seed"],
        origin=origin if origin == "baseline" else "retry",
        handle=handle,
    )


def infeasible_trial(proposal: Proposal, violations: Mapping[str, float]) -> Trial:
    """The record of a proposal that breaks a bound before it is evaluated."""
    broken = {name: excess for name, excess in violations.items() if excess > 0}
    text = ", ".join(f"{name} exceeds its bound by {excess:g}" for name, excess in broken.items())
    return Trial(
        number=proposal.number,
        state="infeasible",
        architecture=proposal.architecture,
        metrics=proposal.metrics,
        constraints=dict(violations),
        origin=proposal.origin,
        seed=proposal.seed,
        error=text,
    )
