"""How much of a ranking of trained networks is the networks', and how much their seeds'.

A network's metric varies with the seed of its training. Where some networks were trained from
several seeds, a one-way analysis of variance tells the two apart: the reliability is the
architectures' share of the variance of one training, the intraclass correlation ICC(1). The
interval is Thomas and Hultquist's ("Interval estimation for the unbalanced case of the one-way
random effects model", 1978): means over seeds, unweighted, against the variance within, by the F
distribution; with equal numbers of seeds it is the exact one. Networks of one seed tell of the
variance between alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from invsearch.runs.ranking import kendall, residuals
from invsearch.runs.replicates import Replicate
from invsearch.runs.trial import Trial

__all__ = ["ENOUGH", "FEW", "GOOD", "LEAST", "Reliability", "SeedTaus", "Seeds", "reliability"]
__all__ += ["seed_taus", "seed_values", "share"]

Array = NDArray[np.float64]
Seeds = Mapping[str, Mapping[int, tuple[float, ...]]]
"""By trained metric and trial, its value from each seed, the trial's own first."""

ENOUGH = 3  # networks: two are in the right order by chance half of the time
GOOD = 0.6  # of a ranking: what the shipped space aims at; half of a single training is noise at .5
LEAST = 0.3  # below it two seeds rank with a tau of .2, and 24 networks cannot tell that from 0
FEW = 3  # seeds: what a person is ready to pay for everything
_NORMAL_95 = 1.959964
_LEVEL = 0.95


@dataclass(frozen=True)
class Reliability:
    """What a trained metric of one seed can tell.

    Attributes:
        value: Share of its variance that is the architectures', in [0, 1].
        low: Lower end of the 95 % interval.
        high: Upper end.
        seed_sd: Standard deviation between seeds of one architecture, in the metric's unit.
        architecture_sd: Standard deviation between architectures.
        n: Architectures compared.
        trainings: Trainings behind it.
    """

    value: float
    low: float
    high: float
    seed_sd: float
    architecture_sd: float
    n: int
    trainings: int

    @property
    def noise(self) -> float:
        """Differences between two networks of one seed each that are below it are noise (95 %)."""
        return _NORMAL_95 * math.sqrt(2) * self.seed_sd

    def of_means(self, seeds: int) -> float:
        """The reliability of means over so many seeds (Spearman and Brown, 1910)."""
        return seeds * self.value / (1 + (seeds - 1) * self.value)

    def seeds_for(self, wanted: float = GOOD) -> int | None:
        """How many seeds each network needs for a reliability; None where no number would do."""
        if self.value <= 0:
            return None
        return max(1, math.ceil(self.budget_for(wanted) - 1e-9))  # rounding must not ask for more

    def budget_for(self, wanted: float = GOOD) -> float:
        """By what the seeds' variance must be divided for a reliability; infinity where none is."""
        if self.value <= 0:
            return math.inf
        return wanted * (1 - self.value) / (self.value * (1 - wanted))

    @property
    def verdict(self) -> str:
        """What a front by the metric is, in a table's cell."""
        if self.value >= GOOD:
            return "ranking"
        if self.value >= LEAST:
            return "coarse ranking"
        seeds = f"{FEW} seeds a network would give {share(self.of_means(FEW))}"
        return f"shortlist of costs, not a ranking: {seeds}"


@dataclass(frozen=True)
class SeedTaus:
    """How well two seeds agree on a ranking.

    Attributes:
        tau: Kendall's, of the first seed's values with the second's.
        equal_cost: The same once the costs are regressed out: what is known beyond "bigger is
            better". None where every cost is the same, or too few networks are left.
        n: Networks of two seeds.
    """

    tau: float
    equal_cost: float | None
    n: int


def share(value: float) -> str:
    """Such as ``.58``, as correlations are written; ``1.00`` and ``.00`` at the ends."""
    return f"{value:.2f}".removeprefix("0")


def seed_values(trials: Iterable[Trial], replicates: Iterable[Replicate]) -> Seeds:
    """Collect what each seed of a complete trial reached, at one fidelity a metric.

    Args:
        trials: As they were logged, without replicates.
        replicates: Further seeds of them.
    """
    complete = {trial.number: trial for trial in trials if trial.state == "complete"}
    found: dict[str, dict[int, tuple[float, ...]]] = {}
    for number, trial in complete.items():
        for name, metric in trial.metrics.items():
            if metric.source == "trained":
                found.setdefault(name, {})[number] = (metric.value,)
    for one in replicates:
        for name, metric in one.metrics.items():
            own = complete[one.number].metrics.get(name) if one.number in complete else None
            same = own and (own.source, own.fidelity) == (metric.source, metric.fidelity)
            if same and one.number in found.get(name, {}):
                found[name][one.number] += (metric.value,)
    return found


def reliability(values: Iterable[Sequence[float]]) -> Reliability | None:
    """Estimate the reliability of a metric.

    Args:
        values: For each architecture, its values from different seeds.

    Returns:
        None below :data:`ENOUGH` architectures, or where none has two seeds.
    """
    groups = [np.asarray(group, dtype=np.float64) for group in values if len(group)]
    spare = sum(len(group) - 1 for group in groups)
    if len(groups) < ENOUGH or spare == 0:
        return None
    within = math.fsum(float(((group - group.mean()) ** 2).sum()) for group in groups) / spare
    between = float(np.var([group.mean() for group in groups], ddof=1))
    per_group = len(groups) / math.fsum(1 / len(group) for group in groups)  # the harmonic mean
    low, high = _ends(between, within, per_group, len(groups) - 1, spare)
    architecture = max(0.0, between - within / per_group)
    return Reliability(
        value=_share(architecture, within),
        low=low,
        high=high,
        seed_sd=math.sqrt(within),
        architecture_sd=math.sqrt(architecture),
        n=len(groups),
        trainings=sum(len(group) for group in groups),
    )


def _ends(
    between: float, within: float, per_group: float, groups: int, spare: int
) -> tuple[float, float]:
    """The interval of the share, from that of the ratio of the two variances."""
    from scipy.stats import f

    if within == 0:
        return (1.0, 1.0) if between > 0 else (0.0, 1.0)
    tail = (1 - _LEVEL) / 2
    ratios = (
        between / within / float(f.ppf(quantile, groups, spare)) - 1 / per_group
        for quantile in (1 - tail, tail)
    )
    low, high = (_share(max(0.0, ratio), 1.0) for ratio in ratios)
    return low, high


def _share(architecture: float, seed: float) -> float:
    total = architecture + seed
    return architecture / total if total > 0 else 0.0


def seed_taus(values: Mapping[int, Sequence[float]], costs: Mapping[int, float]) -> SeedTaus | None:
    """Compare the first two seeds' rankings of the networks that have two.

    Args:
        values: By trial, its values from different seeds.
        costs: By trial, a cost above 0, such as its number of parameters.

    Returns:
        None below :data:`ENOUGH` networks with two seeds, or where nothing varies.
    """
    numbers = [number for number, group in values.items() if len(group) > 1 and number in costs]
    if len(numbers) < ENOUGH:
        return None
    first, second = (np.array([values[n][seed] for n in numbers]) for seed in (0, 1))
    tau = kendall(first, second)
    if tau is None:
        return None
    logs = np.log([costs[number] for number in numbers])
    spread = np.ptp(logs) > 0 and len(numbers) > ENOUGH  # three points and a line leave nothing
    equal = kendall(residuals(first, logs), residuals(second, logs)) if spread else None
    return SeedTaus(tau, equal, len(numbers))
