"""Strategies: the samplers a space file may name."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

__all__ = ["derive_seed", "make_sampler"]


def derive_seed(*parts: object) -> int:
    """A 31-bit seed that depends on every part and on nothing else (no hash randomisation)."""
    return zlib.crc32(repr(parts).encode()) & 0x7FFFFFFF


def make_sampler(strategy: str, seed: int, objectives: Sequence[str]) -> BaseSampler:
    """A fresh Optuna sampler.

    It is made anew for every proposal from a seed that the search derives from its own and the
    trial's number: what is proposed next then depends on the study alone, and a resumed search
    goes on as an uninterrupted one would (Optuna's samplers repeat themselves otherwise).
    """
    from optuna.samplers import NSGAIISampler, RandomSampler, TPESampler

    if strategy == "nsga2":
        return NSGAIISampler(seed=seed, population_size=12)
    if strategy == "tpe":
        return TPESampler(seed=seed, multivariate=True, group=True)
    return RandomSampler(seed=seed)
