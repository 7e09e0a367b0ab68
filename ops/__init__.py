"""Operators for vision networks, involution first: registry, modules, back ends, timing.

Importing this package registers `convolution`, `depthwise_convolution`, `involution` and
`self_attention`.
"""

from ops import convolution, self_attention
from ops.frozen import freeze
from ops.hyperparameter import Hyperparameter
from ops.involution import Involution2d, involution2d
from ops.involution.backends import backends
from ops.registry import OpSpec, get, names, register
from ops.sharding import publish_shardings
from ops.timing import Comparison, Measurement, compare, environment, measure

publish_shardings()

__all__ = [
    "Comparison",
    "Hyperparameter",
    "Involution2d",
    "Measurement",
    "OpSpec",
    "backends",
    "compare",
    "convolution",
    "environment",
    "freeze",
    "get",
    "involution2d",
    "measure",
    "names",
    "register",
    "self_attention",
]
