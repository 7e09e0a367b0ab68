"""Which of two networks, families or operators is better, and how surely: statements.

Two named networks are compared by the posterior of their difference, as they are believed;
families, stems and operators over all trained networks, at equal cost, as
:mod:`invsearch.runs.equal_cost` does.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from invsearch.metrics import metric_info
from invsearch.runs.baselines import baseline_names
from invsearch.runs.difference import Difference
from invsearch.runs.equal_cost import per_kind
from invsearch.runs.front import comparable
from invsearch.runs.load import RunData
from invsearch.runs.trial import Trial
from invsearch.runs.versus_text import kind_text, pair_text

__all__ = ["between", "paired_lines"]

_DRAWS = 4000  # a probability is then known to a hundredth
_COSTS = ("macs", "params")  # looked for beside the objectives


def paired_lines(run: RunData) -> list[str]:
    """Return a line for each pair of named networks, families or operators that was trained."""
    return list(_lines(run))


def _lines(run: RunData) -> Iterator[str]:
    if not run.outline.model:
        return
    trials = comparable(run.trials, run.objectives)
    cost = _cost(run, trials)
    for metric in _trained(run, trials):
        for one, other, names in _pairs(run, trials):
            found = between(run, one, other, metric)
            if found is not None:
                yield pair_text(metric, names, found, _ratio(cost, one, other))
        if cost is not None:
            for compared in per_kind(run, trials, metric, cost):
                yield kind_text(metric, cost, compared)


def _trained(run: RunData, trials: Sequence[Trial]) -> list[str]:
    """The objectives that say how good a network is."""
    sources = ("trained", "supernet", "proxy")
    return [
        name for name in run.objectives if any(t.metrics[name].source in sources for t in trials)
    ]


def _cost(run: RunData, trials: Sequence[Trial]) -> str | None:
    """What stands for the cost: the first counted or measured objective, else MACs, parameters."""
    for name in (*run.objectives, *_COSTS):
        info = metric_info(name)
        costs = info is not None and info.kind != "accuracy"
        if (
            costs
            and trials
            and all(name in t.metrics and t.metrics[name].value > 0 for t in trials)
        ):
            return name
    return None


def _pairs(run: RunData, trials: Sequence[Trial]) -> Iterator[tuple[Trial, Trial, tuple[str, str]]]:
    """The named networks two by two: of one depth where there are such, else all."""
    names, by_number = baseline_names(run), {trial.number: trial for trial in trials}
    known = [(by_number[n], name) for n, name in names.items() if n in by_number]
    pairs = list(itertools.combinations(known, 2))
    alike = [pair for pair in pairs if _depth(pair[0][1]) == _depth(pair[1][1])]
    for (one, first), (other, second) in alike or pairs:
        yield one, other, (first, second)


def _depth(name: str) -> str:
    return name.rpartition("-")[2]


def between(run: RunData, one: Trial, other: Trial, metric: str) -> Difference | None:
    """Compare two trials by the posterior of their difference, or by their intervals.

    Args:
        run: Their run.
        one: A complete trial.
        other: Another.
        metric: An objective of both.

    Returns:
        None where nothing says how surely their values are known.
    """
    sign = -1.0 if run.objectives[metric] == "maximize" else 1.0
    rng = np.random.default_rng(0)
    if run.beliefs is not None and metric in run.beliefs.uncertain:
        column = list(run.objectives).index(metric)
        cloud = run.beliefs.cloud([one, other])
        drawn = cloud.draw(_DRAWS, rng, np.arange(2))[:, :, column]
    else:
        pair = [one.metrics[metric], other.metrics[metric]]
        if not any(m.sigma for m in pair):
            return None
        deviations = np.array([m.sigma for m in pair]) * rng.standard_normal((_DRAWS, 2))
        drawn = sign * np.array([m.value for m in pair]) + deviations
    gap = drawn[:, 0] - drawn[:, 1]  # below 0 where the one is better
    low, middle, high = (float(end) for end in np.quantile(sign * gap, [0.025, 0.5, 0.975]))
    return Difference(float(np.mean(gap < 0)), middle, low, high)


def _ratio(cost: str | None, one: Trial, other: Trial) -> tuple[str, float] | None:
    return None if cost is None else (cost, one.metrics[cost].value / other.metrics[cost].value)
