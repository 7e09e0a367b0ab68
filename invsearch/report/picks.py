"""The members of the front to look at first, and what to do with them next."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from invsearch.report.repeat import near
from invsearch.report.text import display, interval, parameter_groups, short
from invsearch.runs import FrontMember, RunData
from invsearch.runs.columns import tested
from invsearch.runs.front import oriented

__all__ = ["KNEE", "Recommendation", "picks"]

KNEE = "knee, the best trade-off"
_ENOUGH = 3  # members: of two each is an end, so neither is between


@dataclass(frozen=True)
class Recommendation:
    """A recommended member of the front.

    Attributes:
        why: What it is best at.
        number: Its trial.
        values: Each objective's name and value as text, with the interval.
        architecture: Its parameters, a line per part of the network.
        p_front: Its probability of being on the front.
        commands: What to do next, each with what it is for.
    """

    why: str
    number: int
    values: list[tuple[str, str]]
    architecture: list[str]
    p_front: float
    commands: list[tuple[str, str]]


def picks(run: RunData) -> list[Recommendation]:
    """Return the best member in each objective, and the knee; doubtful ones are never among them.

    They are chosen by what is believed of them: who was observed best was often the luckiest.

    The knee is the member farthest from the plane through the ends of the front, every objective's
    range on the front scaled to one (Das, "On characterizing the 'knee' of the Pareto curve",
    1999): where giving up a little of one objective no longer buys much of another.
    """
    sure = [member for member in run.members if not member.doubtful]
    if not sure:
        return []
    points = oriented([run.as_believed(member.trial) for member in sure], run.objectives)
    everyone = [run.as_believed(member.trial) for member in run.members]
    best = oriented(everyone, run.objectives).min(axis=0)
    named = [
        (_superlative(run, name, beaten=best[column] < low), int(points[:, column].argmin()))
        for column, (name, low) in enumerate(zip(run.objectives, points.min(axis=0), strict=True))
    ]
    if len(run.objectives) > 1 and len(sure) >= _ENOUGH:
        named.insert(0, (KNEE, _knee(points)))
    whys: dict[int, list[str]] = {}
    for why, index in named:
        whys.setdefault(index, []).append(why)
    return [_pick(run, sure[index], "; ".join(reasons)) for index, reasons in whys.items()]


def _superlative(run: RunData, name: str, *, beaten: bool) -> str:
    """Return such as ``lowest MACs within the bounds``; ``beaten`` by a doubtful member."""
    most = "lowest" if run.objectives[name] == "minimize" else "highest"
    bounded = " within the bounds" if name in run.constraints else ""
    sure = " that is not in doubt" if beaten else ""
    return f"{most} {short(name, known=run.outline.model)}{bounded}{sure}"


def _knee(points: NDArray[np.float64]) -> int:
    """Return the row farthest below the plane: after scaling, that of the least sum."""
    reach = points.max(axis=0) - points.min(axis=0)
    scaled = (points - points.min(axis=0)) / np.where(reach > 0, reach, 1.0)
    return int(scaled.sum(axis=1).argmin())


def _pick(run: RunData, member: FrontMember, why: str) -> Recommendation:
    known = run.outline.model
    values = []
    for name in run.objectives:
        metric = member.trial.metrics[name]
        ends = interval(metric, known=known)
        around = f" [{ends}]" if ends else ""
        values.append((short(name, known=known), display(name, metric.value, known=known) + around))
        if run.beliefs is not None and name in run.beliefs.uncertain:
            believed = run.as_believed(member.trial).metrics[name]
            ends = interval(believed, known=known)
            text = f"{display(name, believed.value, known=known)} [{ends}]"
            values.append((f"{short(name, known=known)}, believed", text))
    for name in tested(run.objectives if known else (), [member.trial]):
        metric = member.trial.metrics[name]
        around = f" [{interval(metric, known=known)}]"
        values.append((short(name, known=known), display(name, metric.value, known=known) + around))
    return Recommendation(
        why=why,
        number=member.trial.number,
        values=values,
        architecture=parameter_groups(member.trial),
        p_front=member.p_front,
        commands=_commands(run, member.trial.number),
    )


def _commands(run: RunData, number: int) -> list[tuple[str, str]]:
    """Return the next steps; a space of an evaluator's own has no network to train.

    A run that trained nothing has no recipe to train by: its network is measured and exported.
    """
    if not run.outline.model:
        return []
    target, keep = [str(near(run.path)), str(number)], f"{run.path.resolve().name}-{number}"
    steps = [("measure it here", ["measure", *target])]
    weights: list[str] = []
    if any(metric.fidelity for trial in run.trials for metric in trial.metrics.values()):
        steps.insert(0, ("try further seeds", ["train", *target]))
        steps.append(("train it in full", ["train", *target, "--full", "-o", keep]))
        weights = ["--weights", keep]
    steps.append(("take it home", ["export", *target, *weights, "-o", f"{keep}.pt2"]))
    return [(what, shlex.join(["invsearch", *words])) for what, words in steps]
