"""``gp``: Optuna's own Gaussian process sampler, to compare with; seconds a proposal."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from optuna.exceptions import ExperimentalWarning
from optuna.samplers import GPSampler

from invsearch.search.strategies.strategy import SamplerFactory, Strategy

if TYPE_CHECKING:
    from invsearch.problem.problem import Problem

__all__ = ["GP"]


def _samplers(problem: Problem) -> SamplerFactory:
    """Proposals for a study whose trials all have the same parameters, which it demands."""

    def sampler(seed: int) -> GPSampler:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)  # its standing, not a fault
            return GPSampler(seed=seed)

    return sampler


GP = Strategy(_samplers, slow=True)
