"""A sampler for Optuna that knows the costs and learns only what is expensive.

======================  =========================================================================
``sampler``             :class:`CostAwareSampler`, the Optuna side
``proposer``            from a study's history to the next point
``encoding``            points as rows, rows as kernel features
``candidates``          the whole space, or a pool around the front
``costs``, ``history``  what is known beforehand; what the trials say
``start``, ``counted``  proposals without a model
``gp``, ``surrogate``   the Gaussian process; an objective on its scale
``boxes``, ``ehvi``     exact hypervolumes and their expected improvement
``acquisition``         the score of a candidate
======================  =========================================================================
"""

from invsearch.search.sampler.proposer import SpaceExhaustedError
from invsearch.search.sampler.sampler import CostAwareSampler

__all__ = ["CostAwareSampler", "SpaceExhaustedError"]
