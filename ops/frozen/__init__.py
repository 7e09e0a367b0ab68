"""`freeze`: a copy of a network for inference alone, its layers run together."""

from ops.frozen.freeze import freeze
from ops.frozen.network import Frozen

__all__ = ["Frozen", "freeze"]
