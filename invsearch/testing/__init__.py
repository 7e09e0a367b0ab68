"""Suites for what third parties write: inherit one, name yours, run pytest.

They need what ``pip install 'invsearch[test]'`` brings. Each tests a row of its table
(:mod:`invsearch.plugins`), so what it passes is what a space file may name.
"""

from invsearch.testing.augmentations import AugmentationConformance
from invsearch.testing.datasets import DatasetConformance
from invsearch.testing.executors import ExecutorConformance
from invsearch.testing.providers import ProviderConformance
from invsearch.testing.strategies import StrategyConformance

__all__ = [
    "AugmentationConformance",
    "DatasetConformance",
    "ExecutorConformance",
    "ProviderConformance",
    "StrategyConformance",
]
