"""Which of two networks, families or operators is better, and how surely: paired statements.

Two named networks are compared by the posterior of their difference, as they are believed. Two
operators are compared over all trained networks, at equal cost: a linear regression on the
logarithm of the cost and the share of the network that has each operator; the posterior of their
difference is Student's t (Gelman et al., "Bayesian Data Analysis", chapter 14).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from invsearch.metrics import metric_info
from invsearch.runs.baselines import baseline_names
from invsearch.runs.front import comparable
from invsearch.runs.load import RunData
from invsearch.runs.reliability import share
from invsearch.runs.trial import Trial

__all__ = ["CLEAR", "Difference", "between", "paired_lines", "per_kind"]

Array = NDArray[np.float64]

CLEAR = 0.9  # odds of nine to one; between it and its opposite the data cannot tell
_DRAWS = 4000  # a probability is then known to a hundredth
_SPARE = 3  # networks beyond the coefficients: of fewer the residuals say nothing
_KINDS = ("family", "stem", "operator")  # settings whose values are compared, by their last part
_COSTS = ("macs", "params")  # looked for beside the objectives
_MOST = 3  # values of a setting that are compared: more make a table, not a sentence


@dataclass(frozen=True)
class Difference:
    """How much better one is than the other.

    Attributes:
        probability: That it is better at all.
        value: By how much the metric differs, the one minus the other, in the metric's own unit.
        low: Lower end of the 95 % interval.
        high: Upper end.
    """

    probability: float
    value: float
    low: float
    high: float

    @property
    def reversed(self) -> Difference:
        """The other against the one."""
        return Difference(1 - self.probability, -self.value, -self.high, -self.low)


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
                yield _pair_text(metric, names, found, _ratio(cost, one, other))
        if cost is not None:
            for kind, one_value, other_value, found, count in per_kind(run, trials, metric, cost):
                yield _kind_text(metric, cost, (kind, one_value, other_value), found, count)


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


def per_kind(
    run: RunData, trials: Sequence[Trial], metric: str, cost: str
) -> Iterator[tuple[str, str, str, Difference, int]]:
    """Compare the values of ``family``, ``stem`` and ``operator`` at equal cost.

    Yields:
        The setting, two of its values, how the first differs from the second where the whole
        network has it, and the number of networks.
    """
    values = np.array([trial.metrics[metric].value for trial in trials])
    logs = np.log([trial.metrics[cost].value for trial in trials])
    shares = {kind: _shares(trials, kind) for kind in _KINDS}
    shares = {kind: found for kind, found in shares.items() if 2 <= len(found) <= _MOST}
    columns = {(kind, v): s for kind, found in shares.items() for v, s in [*found.items()][1:]}
    design = np.stack([np.ones_like(logs), logs - logs.mean(), *columns.values()], axis=1)
    spare = len(values) - design.shape[1]
    if not columns or spare < _SPARE or np.linalg.matrix_rank(design) < design.shape[1]:
        return
    estimate, covariance = _regressed(design, values)
    places = {key: 2 + place for place, key in enumerate(columns)}
    for kind, found in shares.items():
        for one, other in itertools.combinations(found, 2):
            contrast = np.zeros(design.shape[1])
            for value, sign in ((one, 1.0), (other, -1.0)):
                if (kind, value) in places:
                    contrast[places[kind, value]] = sign
            sd = float(np.sqrt(contrast @ covariance @ contrast))
            found_difference = _student(float(contrast @ estimate), sd, spare, run, metric)
            yield kind, one, other, found_difference, len(values)


def _regressed(design: Array, values: Array) -> tuple[Array, Array]:
    """Least squares: the coefficients and their covariance."""
    inverse = np.linalg.inv(design.T @ design)
    estimate = inverse @ design.T @ values
    residuals = values - design @ estimate
    variance = float(residuals @ residuals) / (len(values) - design.shape[1])
    return estimate, np.asarray(inverse * variance)


def _student(value: float, sd: float, spare: int, run: RunData, metric: str) -> Difference:
    from scipy.stats import t

    sd = max(sd, 1e-300)  # values that the regression meets exactly
    below = float(t.cdf(-value / sd, spare))
    better = below if run.objectives[metric] == "minimize" else 1 - below
    half = float(t.ppf(0.975, spare)) * sd
    return Difference(better, value, value - half, value + half)


def _shares(trials: Sequence[Trial], kind: str) -> Mapping[str, Array]:
    """By value of a setting, the share of each network's parts that has it."""
    chosen = [
        [str(v) for name, v in trial.architecture.items() if name.rpartition(".")[2] == kind]
        for trial in trials
    ]
    if not all(chosen):
        return {}
    values = dict.fromkeys(value for parts in chosen for value in parts)
    return {
        value: np.array([parts.count(value) / len(parts) for parts in chosen])
        for value in sorted(values)
    }


def _ratio(cost: str | None, one: Trial, other: Trial) -> tuple[str, float] | None:
    return None if cost is None else (cost, one.metrics[cost].value / other.metrics[cost].value)


def _pair_text(
    metric: str, names: tuple[str, str], found: Difference, ratio: tuple[str, float] | None
) -> str:
    one, other = names
    if found.probability < 0.5:
        one, other, found = other, one, found.reversed
        ratio = None if ratio is None else (ratio[0], 1 / ratio[1])
    at = "" if ratio is None else f" at {_times(ratio[1])} {_short(ratio[0])}"
    chance = f"{_chance(found.probability)} on this data ({_by(metric, found)})"
    return _verdict(_short(metric), found, (one, other), at, chance)


def _kind_text(
    metric: str, cost: str, kind: tuple[str, str, str], found: Difference, count: int
) -> str:
    name, one, other = kind
    if found.probability < 0.5:
        one, other, found = other, one, found.reversed
    over = f"{count} networks, {_short(cost)} regressed out"
    what = " throughout the stages" if name == "operator" else f" as the {name}"
    chance = f"{_chance(found.probability)} ({_by(metric, found)}; {over})"
    about = f"{_short(metric)} at equal {_short(cost)}"
    return _verdict(about, found, (one, other), what, chance)


def _verdict(about: str, found: Difference, names: tuple[str, str], how: str, chance: str) -> str:
    one, other = names
    if found.probability < CLEAR:
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
