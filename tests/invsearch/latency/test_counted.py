"""The calibration that counts: learns what a sum misses, and stays what it was where nothing is."""

from __future__ import annotations

import math
import random

import pytest

from invsearch.cost import count
from invsearch.latency.calibration import calibrate
from invsearch.latency.counted import calibrate_counted, counted
from invsearch.models import rednet_spec, resnet_spec


@pytest.mark.parametrize("spec", [rednet_spec(26), resnet_spec(38)], ids=["rednet", "resnet"])
def test_what_is_counted_adds_up_to_the_networks_costs(spec) -> None:
    found, costs = counted(spec, (64, 64)), count(spec, resolution=64)
    assert sum(n for name, n in found.items() if name.startswith("macs.")) == costs.macs
    assert found["weights"] == costs.params
    assert found["bytes"] > 4 * found["weights"]


def made(size: int, noise: float, memory: float, seed: int):
    """Networks that take a little more than their sums, and so much for each byte."""
    rng = random.Random(seed)
    sums = [rng.uniform(5, 40) for _ in range(size)]
    counts = [{"bytes": rng.uniform(0.5, 2) * one, "calls": rng.uniform(20, 60)} for one in sums]
    took = [
        (1.05 * one + memory * of["bytes"]) * rng.gauss(1, noise)
        for one, of in zip(sums, counts, strict=True)
    ]
    return sums, counts, took


def test_what_a_sum_misses_is_learned_from_what_is_counted() -> None:
    fitted, others = made(12, 0.005, 0.2, seed=1), made(50, 0.0, 0.2, seed=2)
    plain, knowing = calibrate(fitted[0], fitted[2]), calibrate_counted(*fitted)
    off = [
        (abs(plain.value(one) / took - 1), abs(knowing.value(one, of) / took - 1))
        for one, of, took in zip(*others, strict=True)
    ]
    assert sum(b for _, b in off) < 0.4 * sum(a for a, _ in off)


def test_where_nothing_is_missed_the_calibration_stays_as_it_is() -> None:
    better = 0
    for seed in range(20):
        sums, counts, took = made(8, 0.03, 0.0, seed)
        knowing = calibrate_counted(sums, counts, took)
        assert knowing.base == calibrate(sums, took)
        better += math.isinf(knowing.weight)
        for one, of in zip(sums, counts, strict=True):
            assert knowing.value(one, of) == pytest.approx(knowing.base.value(one), rel=0.1)
    assert better >= 5  # the others follow noise, and not far
    same = calibrate_counted(sums, [{"calls": one} for one in sums], took)
    assert same.value(9.0, {"calls": 9.0}) == pytest.approx(same.base.value(9.0), rel=0.02)
