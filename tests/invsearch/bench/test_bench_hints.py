"""What hints are worth: the tables are the truth, and kinds of hints are what they are called."""

from __future__ import annotations

import numpy as np
import pytest

from invsearch.bench import hints
from invsearch.bench.hints import Table


def tiny() -> Table:
    points = tuple({"a": a, "b": b, "c": c} for a in range(5) for b in range(5) for c in range(4))
    numbers = np.array([list(point.values()) for point in points], dtype=float)
    return Table("tiny", points, numbers @ [1.0, 0.7, 0.3] + 1, 1 + (4 - numbers[:, 0]) ** 2)


def test_the_whole_table_is_the_whole_hypervolume() -> None:
    table = tiny()
    assert table.share(range(len(table.points))) == pytest.approx(1)
    assert 0 <= table.share([0]) < 1


def test_good_hints_rank_and_useless_ones_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hints, "tables", {"tiny": lambda seed: tiny()})
    assert hints._tau("tiny", "good", 4) > 0.5
    assert abs(hints._tau("tiny", "useless", 8)) < 0.4


def test_a_search_is_scored_by_the_truth_and_repeats() -> None:
    table = tiny()
    shares = hints.curve(table, "good", 0, 8)
    assert shares == sorted(shares)
    assert shares == hints.curve(table, "good", 0, 8)


def test_trials_needed_are_read_off_the_curve() -> None:
    mean = np.array([0.2, 0.4, 0.4, 0.8])
    assert hints._reached(mean, 0.6) == pytest.approx(3.5)
    assert hints._reached(mean, 0.1) == 1
    assert hints._reached(mean, 0.9) == float("inf")


def test_simulated_worlds_differ_by_seed_and_size_helps() -> None:
    one, other = hints.simulated(0), hints.simulated(1)
    assert len(one.points) == len(other.points) == 4 * 6**4
    assert not np.array_equal(one.losses, other.losses)
    assert np.corrcoef(np.log(one.costs), one.losses)[0, 1] < -0.3
