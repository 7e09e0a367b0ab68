"""Strategies: what a space file may name as ``search.strategy``, a file each.

The table is :data:`invsearch.plugins.STRATEGIES`.
"""

from invsearch.search.strategies.strategy import SamplerFactory, Strategy

__all__ = ["SamplerFactory", "Strategy"]
