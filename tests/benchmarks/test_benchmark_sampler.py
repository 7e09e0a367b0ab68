"""CPU time of a proposal after many trials, at first sight of them and later.

The limits of the project: 150 ms after 300 trials, 400 ms after 1,000, for any number of objectives
that only evaluation can tell. Alone::

    python -m pytest tests/benchmarks/test_benchmark_sampler.py --benchmark-only \
        --benchmark-columns=min,median,max --benchmark-sort=name
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import create_trial

from invsearch.search.sampler import CostAwareSampler

CPU = pytest.mark.benchmark(timer=time.process_time)
SPACES: dict[str, dict[str, BaseDistribution]] = {
    "listed": {f"op{i}": CategoricalDistribution(["a", "b", "c"]) for i in range(8)},
    "drawn": {f"op{i}": CategoricalDistribution(["a", "b", "c", "d"]) for i in range(20)},
}
UNKNOWN = [(1, 1), (1, 0), (2, 0), (2, 1), (3, 0), (4, 0)]


class Table:
    """Objectives of points: effects of every choice and of neighbouring ones."""

    def __init__(self, space: Mapping[str, BaseDistribution], objectives: int) -> None:
        rng = np.random.default_rng(0)
        self._effects = rng.standard_normal((objectives, len(space), 4))
        self._pairs = 0.3 * rng.standard_normal((objectives, len(space), 4, 4))
        self._effects[1:] -= 0.5 * self._effects[0]

    def __call__(self, params: Mapping[str, Any]) -> list[float]:
        chosen = np.array(["abcd".index(value) for value in params.values()])
        place = np.arange(len(chosen))
        total = self._effects[:, place, chosen].sum(axis=1)
        total += self._pairs[:, place, chosen, np.roll(chosen, 1)].sum(axis=1)
        return [float(value) for value in 5.0 + 20.0 * np.exp(-0.25 * total)]


def price(params: Mapping[str, Any]) -> float:
    return 1.0 + sum(map("abcd".index, params.values()))


class Studied:
    """A study with imported trials, and how to go on with it."""

    def __init__(self, space: str, unknown: int, known: int, trials: int) -> None:
        self.space = SPACES[space]
        self._table = Table(self.space, unknown)
        self._known = known
        costs = (lambda params: {unknown: price(params)}) if known else None
        self.study = optuna.create_study(
            directions=["minimize"] * (unknown + known),
            sampler=CostAwareSampler(self.space, costs=costs, seed=0),
        )
        rng = np.random.default_rng(1)
        seen: dict[tuple[str, ...], None] = {}
        while len(seen) < trials:
            drawn = [rng.choice(d.choices) for d in self.space.values()]  # type: ignore[attr-defined]
            seen[tuple(map(str, drawn))] = None
        for point in seen:
            params = dict(zip(self.space, point, strict=True))
            self.study.add_trial(
                create_trial(params=params, distributions=self.space, values=self._values(params))
            )

    def _values(self, params: Mapping[str, Any]) -> list[float]:
        return [*self._table(params), *([price(params)] if self._known else [])]

    def ask(self) -> optuna.Trial:
        return self.study.ask(self.space)

    def tell(self, trial: optuna.Trial) -> None:
        self.study.tell(trial, self._values(trial.params))


@CPU
@pytest.mark.parametrize("trials", [300, 1000])
@pytest.mark.parametrize(("unknown", "known"), UNKNOWN)
@pytest.mark.parametrize("space", SPACES)
def test_first_ask(benchmark: Any, space: str, unknown: int, known: int, trials: int) -> None:
    def fresh() -> tuple[tuple[Studied], dict[str, Any]]:
        return (Studied(space, unknown, known, trials),), {}

    benchmark.pedantic(lambda studied: studied.ask(), setup=fresh, rounds=3)


@CPU
@pytest.mark.parametrize("trials", [300, 1000])
@pytest.mark.parametrize(("unknown", "known"), UNKNOWN)
@pytest.mark.parametrize("space", SPACES)
def test_later_ask(benchmark: Any, space: str, unknown: int, known: int, trials: int) -> None:
    studied = Studied(space, unknown, known, trials)
    asked = [studied.ask()]

    def told() -> None:
        studied.tell(asked.pop())

    benchmark.pedantic(lambda: asked.append(studied.ask()), setup=told, rounds=6)
