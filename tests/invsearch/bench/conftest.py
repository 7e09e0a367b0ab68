"""Small cases that are measured in an instant."""

from __future__ import annotations

import pytest

from invsearch.bench import Settings
from invsearch.bench.shapes import LayerShape
from ops.timing import Rule

INSTANT = Rule(min_samples=7, min_time=0, max_width=1e9, warmup_time=0, sample_time=0)


@pytest.fixture
def settings() -> Settings:
    """Seven samples of one call each."""
    return Settings(rule=INSTANT)


@pytest.fixture
def small() -> LayerShape:
    """A stride-2 layer of 32 channels."""
    return LayerShape("small", 32, 9, 5, 2, 1)
