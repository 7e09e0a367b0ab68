"""The dry run: what a space file says, and what every layer of one network costs."""

from invsearch.explain.explanation import Explanation, explain
from invsearch.explain.layers import LayersExplanation, explain_layers

__all__ = ["Explanation", "LayersExplanation", "explain", "explain_layers"]
