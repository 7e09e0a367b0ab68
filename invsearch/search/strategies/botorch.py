"""``botorch``: BoTorch (Balandat et al. 2020), to compare with; seconds a proposal."""

from __future__ import annotations

import warnings
from inspect import unwrap
from typing import TYPE_CHECKING, Any

from optuna.exceptions import ExperimentalWarning

from invsearch.search.strategies.strategy import SamplerFactory, Strategy

try:
    # the integration looks for BoTorch in silence
    from botorch import acquisition as _  # noqa: F401
    from optuna_integration import BoTorchSampler
    from optuna_integration.botorch import ehvi_candidates_func, qlogei_parego_candidates_func
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"{error.name} is not installed: pip install 'invsearch[botorch]'"
    ) from None

if TYPE_CHECKING:
    from invsearch.problem.problem import Problem

__all__ = ["BOTORCH"]

# The integration's own choice draws samples of the improvement: 30 s a proposal after 20 trials of
# two objectives, on one thread, where the exact improvement takes 2 s. Unwrapped, they do not warn
# at every proposal that they are experimental.
_EXACT, _PAREGO = unwrap(ehvi_candidates_func), unwrap(qlogei_parego_candidates_func)


_MOST_EXACT = 3  # objectives: as the integration chooses by itself


def _exact(x: Any, values: Any, constraints: Any, bounds: Any, pending: Any) -> Any:
    """The exact improvement; by ParEGO in a search with constraints, which the former has not."""
    chosen = _EXACT if constraints is None else _PAREGO
    return chosen(x, values, constraints, bounds, pending)


def _samplers(problem: Problem) -> SamplerFactory:
    """By exact expected hypervolume improvement; of four objectives or bounded by ParEGO."""
    count = len(problem.objectives)
    candidates = None if count == 1 else _exact if count <= _MOST_EXACT else _PAREGO

    def sampler(seed: int) -> BoTorchSampler:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)  # its standing, not a fault
            return BoTorchSampler(seed=seed, candidates_func=candidates)

    return sampler


BOTORCH = Strategy(_samplers, slow=True)
