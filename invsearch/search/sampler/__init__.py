"""A sampler for Optuna that knows the costs and learns only what is expensive.

======================  =========================================================================
``sampler``             :class:`CostAwareSampler`, the Optuna side
``proposer``            from a study's history to the next point
``catalogue``           the points of the space, with all that is known of them
``candidates``          the whole space, or a pool around the front
``costs``               what is known beforehand
``reader``, ``history`` what the trials say
``start``, ``counted``  proposals without a model
``models``              from a history to the models and the acquisition
``subset``              which trials the models see of a long search
``boxes``, ``ehvi``     exact hypervolumes and their expected improvement
``acquisition``         the score of a candidate
``doubt``               proposals that do not believe the models, once these lead nowhere
======================  =========================================================================

The models themselves are :mod:`invsearch.surrogate`.
"""

from invsearch.search.sampler.proposer import SpaceExhaustedError
from invsearch.search.sampler.sampler import CostAwareSampler

__all__ = ["CostAwareSampler", "SpaceExhaustedError"]
