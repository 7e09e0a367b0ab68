"""``random``: every parameter at random, the yardstick of all the others."""

from __future__ import annotations

from optuna.samplers import RandomSampler

from invsearch.search.strategies.strategy import Strategy

__all__ = ["RANDOM"]

RANDOM = Strategy(lambda problem: lambda seed: RandomSampler(seed=seed))
