"""Every strategy of the table passes the suite that third parties use."""

from __future__ import annotations

import pytest

from invsearch.plugins import STRATEGIES
from invsearch.testing import StrategyConformance


class TestEveryStrategy(StrategyConformance):
    # a proposal of Optuna's Gaussian process takes seconds
    SLOW = (
        "test_every_architecture_is_found_once[gp",
        "test_where_trials_fail_it_seldom_goes_again[gp",
        "test_a_search_survives_its_failures[gp",
        "test_what_breaks_a_bound_is_not_evaluated[gp",
    )

    @pytest.fixture(autouse=True, params=STRATEGIES.names())
    def _named(self, request: pytest.FixtureRequest) -> None:
        self.strategy = request.param
