"""What a search asks to be evaluated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from invsearch.evaluation import Progress
from invsearch.metrics import Metric
from invsearch.runs.bounds import broken_bounds
from invsearch.runs.curves import CurvePoint
from invsearch.runs.trial import Origin, State, Trial
from invsearch.space.architecture import Architecture
from invsearch.user_code.failure import clean

if TYPE_CHECKING:
    from invsearch.problem.problem import Problem

__all__ = ["Proposal", "curve_point", "failed_trial", "infeasible_trial", "proposal_from"]


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
        promoted: The rung at which its trial had stopped, where it goes on from there.
        turn: The number of the next new trial when it was asked; None for its own number.
    """

    number: int
    architecture: Architecture
    seed: int
    origin: Origin
    handle: int
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    replicate: bool = False
    promoted: int | None = None
    turn: int | None = None


def proposal_from(handle: int, attributes: Mapping[str, Any]) -> Proposal:
    """The proposal that an Optuna trial's user attributes tell of, for another evaluation."""
    origin = attributes.get("origin", "sampler")
    return Proposal(
        number=attributes["number"],
        architecture=Architecture(tuple(attributes["architecture"].items())),
        seed=attributes["seed"],
        origin=origin if origin in ("baseline", "user") or "promoted" in attributes else "retry",
        handle=handle,
        promoted=attributes.get("promoted"),
        turn=attributes.get("turn"),
    )


def curve_point(proposal: Proposal, progress: Progress) -> CurvePoint | None:
    """What a step brought, for its curve; None of an evaluation that has no steps.

    Such an evaluation is over at its first step, and nothing says what was spent on it.
    """
    told = [m.fidelity for m in progress.metrics.values() if m.fidelity is not None]
    spent = progress.spent or next(iter(told), None)
    if progress.done and spent is None:
        return None
    values = {name: metric.value for name, metric in progress.metrics.items()}
    return CurvePoint(
        proposal.number,
        proposal.seed,
        progress.step,
        {**progress.losses, **values},
        progress.seconds,
        spent,
    )


def infeasible_trial(proposal: Proposal, problem: Problem) -> Trial | None:
    """The record of a proposal that breaks a bound before it is evaluated; None if it does not."""
    violations = problem.violations(proposal.metrics)
    broken = [name for name, excess in violations.items() if excess > 0]
    if not broken:
        return None
    reason = broken_bounds({name: proposal.metrics[name].value for name in broken}, problem.bounds)
    return replace(_ended(proposal, "infeasible", reason), constraints=violations)


def failed_trial(proposal: Proposal, reason: str) -> Trial:
    """The record of a proposal that cannot be evaluated."""
    return _ended(proposal, "failed", reason)


def _ended(proposal: Proposal, state: State, reason: str) -> Trial:
    return Trial(
        number=proposal.number,
        state=state,
        architecture=proposal.architecture,
        metrics=proposal.metrics,
        origin=proposal.origin,
        seed=proposal.seed,
        error=clean(reason),
    )
