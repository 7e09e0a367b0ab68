"""Every strategy of the table passes the suite that third parties use."""

from __future__ import annotations

import pytest

from invsearch.plugins import STRATEGIES
from invsearch.testing import StrategyConformance


class TestEveryStrategy(StrategyConformance):
    @pytest.fixture(autouse=True, params=STRATEGIES.names())
    def _named(self, request: pytest.FixtureRequest) -> None:
        self.strategy = request.param
