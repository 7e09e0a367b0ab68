"""Every strategy of the table passes the suite that third parties use."""

from __future__ import annotations

import pytest

from invsearch.bench.contests.contest import comparable
from invsearch.testing import StrategyConformance


class TestEveryStrategy(StrategyConformance):
    # a proposal of others' Gaussian processes takes seconds
    SLOW = tuple(
        f"{test}[{name}"
        for name in ("gp", "botorch")
        for test in (
            "test_every_architecture_is_found_once",
            "test_where_trials_fail_it_seldom_goes_again",
            "test_a_search_survives_its_failures",
            "test_what_breaks_a_bound_is_not_evaluated",
        )
    )

    @pytest.fixture(autouse=True, params=[*comparable(), "exhaustive"])
    def _named(self, request: pytest.FixtureRequest) -> None:
        self.strategy = request.param
