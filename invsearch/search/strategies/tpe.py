"""``tpe``: Optuna's tree-structured Parzen estimator."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optuna.samplers import TPESampler

from invsearch.search.strategies.strategy import SamplerFactory, Strategy

if TYPE_CHECKING:
    from invsearch.problem.problem import Problem

__all__ = ["TPE"]


def _samplers(problem: Problem) -> SamplerFactory:
    """Parameters are modelled together, those that occur together as one group."""
    return lambda seed: TPESampler(seed=seed, multivariate=True, group=True)


TPE = Strategy(_samplers)
