"""Proxies: what they say of networks, and what they keep silent about."""

from __future__ import annotations

import math
import random

import pytest
import torch
from torch import nn

from invsearch.accuracy.proxies import CANNOT_TELL, Proxy, Subject, proxy_values
from invsearch.accuracy.proxies.jacobian_covariance import jacobian_score
from invsearch.accuracy.proxies.naswot import agreements, naswot_score
from invsearch.plugins import PROXIES
from invsearch.problem import problem_of
from invsearch.problem.network import NetworkProblem
from invsearch.space import load_space_file


@pytest.fixture(scope="module")
def problem() -> NetworkProblem:
    found = problem_of(load_space_file("quick"))
    assert isinstance(found, NetworkProblem)
    return found


@pytest.fixture(scope="module")
def subject(problem: NetworkProblem) -> Subject:
    return problem.subject(problem.space.sample(random.Random(0)))


@pytest.mark.parametrize("name", PROXIES.ours())
def test_every_row_tells_finite_numbers_and_the_same_again(name: str, subject: Subject) -> None:
    found = proxy_values(name, subject)
    assert found
    assert all(math.isfinite(value) for value in found.values())
    assert proxy_values(name, subject) == found


def test_counts_are_those_of_the_search(problem: NetworkProblem) -> None:
    architecture = problem.space.sample(random.Random(1))
    known = problem.explained(architecture)
    subject = problem.subject(architecture)
    for name in ("params", "macs"):
        assert proxy_values(name, subject) == {name: math.log(known[name].value)}
    shares = proxy_values("operator_shares", subject)
    assert sum(shares.values()) == pytest.approx(1)
    stages = [architecture.get(f"stage{n}.operator") for n in (1, 2, 4)]
    assert (shares["share/convolution"] == 1) == (
        {*stages, architecture.get("stage3.operator")} == {"convolution"}
    )


def test_no_block_of_the_network_is_its_shortcut(subject: Subject) -> None:
    """Zero-gamma initialisation would make every proxy one of a network without blocks."""
    norms = [m for m in subject.network().modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms
    assert all(bool((norm.weight == 1).all()) for norm in norms)


def test_jacobian_score_is_that_of_numpy_and_best_where_nothing_correlates() -> None:
    import numpy as np

    rows = torch.randn(8, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    values = np.linalg.eigvalsh(np.corrcoef(rows.flatten(1).double().numpy()))
    wanted = -float(np.sum(np.log(values + 1e-5) + 1 / (values + 1e-5)))
    assert jacobian_score(rows) == pytest.approx(wanted, rel=1e-9)
    alike = rows[:1] + 0.1 * rows
    assert jacobian_score(alike) < jacobian_score(rows)
    assert math.isnan(jacobian_score(torch.ones(4, 6)))


def test_naswot_counts_the_units_that_agree() -> None:
    active = torch.tensor([[1, 1, 0, 0], [1, 0, 0, 1], [1, 1, 0, 0]], dtype=torch.bool)
    assert agreements(active).tolist() == [[4, 2, 4], [2, 4, 2], [4, 2, 4]]
    assert naswot_score(agreements(active[:2])) == pytest.approx(math.log(16 - 4))
    assert math.isnan(naswot_score(agreements(active)))  # two images answered alike


def test_what_cannot_tell_gives_no_number(subject: Subject) -> None:
    """As synflow would on networks of involution: each block multiplies two activations."""
    rows = {"odd": Proxy(lambda subject: {"odd": CANNOT_TELL, "even": 2.0})}
    PROXIES.add("odd", rows["odd"])
    try:
        assert proxy_values("odd", subject) == {"even": 2.0}
    finally:
        PROXIES.remove("odd")
