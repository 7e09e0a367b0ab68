"""Rounds of chaos: a node, a disk, drivers, a raylet, workers; `make chaos` plays 200."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from chaos.rounds import HARMS, open_cluster, play
from ray_cluster import RayCluster

# a harm of each kind that takes seconds; `make chaos` plays all
ROUNDS = (0, 1, 2, 6, 7, 8, 9)
SLOW = tuple(f"test_a_disturbed_search_ends_whole[{number}]" for number in (6, 8, 9))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayCluster]:
    with open_cluster(tmp_path_factory.mktemp("home")) as opened:
        yield opened


@pytest.mark.parametrize("number", ROUNDS)
def test_a_disturbed_search_ends_whole(number: int, tmp_path: Path, cluster: RayCluster) -> None:
    happened = play(number, tmp_path, cluster)
    assert happened[0] == HARMS[number].__name__
