"""The suite that every provider of metrics passes."""

from __future__ import annotations

import math
import random
from typing import get_args

import pytest

from invsearch.metrics import KNOWN_METRICS, Source
from invsearch.plugins import PROVIDERS
from invsearch.problem import problem_of
from invsearch.problem.network import NetworkProblem
from invsearch.provider import Provider, When
from invsearch.space import load_space_file

__all__ = ["ProviderConformance"]

_DRAWN = 4  # architectures of the space that are each asked about


class ProviderConformance:
    """What a search asks of a provider.

    Inherit it, in a class whose name starts with ``Test``, name the provider, and a space file that
    asks for its metrics::

        class TestEdges(ProviderConformance):
            provider = "edges"
            space = "edges.yaml"
    """

    provider = ""
    space = ""

    @pytest.fixture
    def given(self) -> tuple[NetworkProblem, Provider]:
        """The problem that the space file states, and the provider of it."""
        problem = problem_of(load_space_file(self.space))
        assert isinstance(problem, NetworkProblem)
        wanted = PROVIDERS.get(self.provider, type)
        found = [one for one in problem.providers if type(one) is wanted]
        assert len(found) == 1, f"{self.space} does not ask for {self.provider}"
        return problem, found[0]

    def test_it_says_what_it_is(self, given: tuple[NetworkProblem, Provider]) -> None:
        """Known metrics of a known source, known at a known time."""
        _, provider = given
        assert provider.metrics
        assert set(provider.metrics) <= set(KNOWN_METRICS)
        assert provider.source in get_args(Source)
        assert provider.when in get_args(When)

    def test_it_can_be_checked(self, given: tuple[NetworkProblem, Provider]) -> None:
        """Nothing is wrong with it in this space."""
        given[1].check()

    def test_it_gives_its_metrics_and_no_others(
        self, given: tuple[NetworkProblem, Provider]
    ) -> None:
        """Finite numbers with their source; of one known before, the same when asked again."""
        problem, provider = given
        rng = random.Random(0)
        for architecture in (problem.space.sample(rng) for _ in range(_DRAWN)):
            if provider.when == "after":
                assert provider.evaluation(architecture, 0) is not None
                continue
            metrics = provider.give(architecture, {})
            assert set(metrics) <= set(provider.metrics)
            for name, metric in metrics.items():
                assert metric.name == name
                assert metric.source == provider.source
                assert math.isfinite(metric.value)
            if provider.when == "before":
                assert provider.give(architecture, {}) == metrics
