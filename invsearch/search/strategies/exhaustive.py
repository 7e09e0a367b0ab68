"""``exhaustive``: every architecture, in the space's own order."""

from __future__ import annotations

from optuna.samplers import RandomSampler

from invsearch.search.strategies.strategy import Strategy

__all__ = ["EXHAUSTIVE"]

EXHAUSTIVE = Strategy(lambda problem: lambda seed: RandomSampler(seed=seed), enumerates=True)
