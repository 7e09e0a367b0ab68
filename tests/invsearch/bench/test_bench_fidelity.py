"""The comparison of ways to spend epochs: its table, and its arithmetic."""

from __future__ import annotations

import numpy as np
import pytest

from invsearch.bench.fidelity import ALLOCATED, FULL, WAYS, main, peers, reached, summary
from invsearch.bench.lcbench import EPOCHS, costs, missing


def test_without_the_table_it_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("INVSEARCH_SHARED", raising=False)
    assert main([]) == 0
    assert "skipped: $INVSEARCH_SHARED" in capsys.readouterr().err


def test_weights_of_a_funnel() -> None:
    """30 inputs, 64 and 37 units, 10 classes."""
    assert costs({"num_layers": 2, "max_units": 64.2}) == {"weights": 30 * 64 + 64 * 37 + 37 * 10}


def test_the_part_of_the_epochs() -> None:
    """Full training is at .8 in the end; the other way is there after half of the epochs."""
    full = np.tile(np.linspace(0.0, 0.8, 100), (3, 1))
    other = np.tile(np.linspace(0.0, 1.6, 99), (3, 1))
    other = np.concatenate([other, other[:, -1:]], axis=1)
    found = summary(WAYS[1], other, full)
    assert found["epochs_part"] == pytest.approx(0.5, abs=0.011)
    assert summary(WAYS[1], full * 0.9, full)["epochs_part"] is None


@pytest.mark.skipif(bool(missing()), reason=missing() or "the table is here")
def test_a_search_of_the_table() -> None:
    """Full training ends a training each 52 epochs; the share only grows."""
    shares = reached(FULL, "3945", 0, "random", trials=3)
    assert len(shares) == 3 * EPOCHS
    assert (np.diff(shares) >= 0).all()
    ends = np.flatnonzero(np.diff(shares)) + 2  # counted from 1
    assert len(ends)
    assert not (ends % EPOCHS).any()


def test_the_part_that_a_peer_costs() -> None:
    """The allocation is at .9 in the end: past one peer half-way, past another never."""
    rising = np.tile(np.linspace(0.0, 0.9, 91), (2, 1))
    found = {
        ("cost_aware", ALLOCATED): rising,
        ("random", FULL): rising,
        ("tpe", FULL): rising / 2,
        ("cost_aware", FULL): rising * 2,
    }
    parts = {row["peer"]: row["epochs_part"] for row in peers(found)}
    assert parts == {
        "tpe, full training": pytest.approx(46 / 91),
        "cost_aware, full training": None,
    }


@pytest.mark.skipif(bool(missing()), reason=missing() or "the table is here")
def test_an_allocated_search_of_the_table() -> None:
    """Eight trainings come to the first rung, then one to the end; the whole repeats itself."""
    shares = reached(ALLOCATED, "3945", 0, "cost_aware", trials=4)
    first = np.flatnonzero(np.diff(shares))[0] + 2
    assert first == 8 * 3 + EPOCHS - 3
    assert (np.diff(shares) >= 0).all()
    assert np.array_equal(shares, reached(ALLOCATED, "3945", 0, "cost_aware", trials=4))
