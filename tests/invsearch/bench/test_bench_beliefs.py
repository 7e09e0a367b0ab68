"""The benchmark of beliefs: it scores by the truth, and what is committed holds what it claims."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from invsearch.bench import beliefs, nas_bench_macro

ROOT = Path(__file__).parents[3]


def test_who_knows_the_truth_regrets_nothing() -> None:
    """Picking by the true values has no regret and all of the volume; by noise, both suffer."""
    rng = np.random.default_rng(0)
    true, cost = rng.random(40), np.exp(rng.random(40))
    assert beliefs._picking(true, true, cost) == (0.0, pytest.approx(1.0))
    regret, share = beliefs._picking(true + rng.standard_normal(40), true, cost)
    assert regret > 0
    assert share < 1


def test_the_committed_result_is_better_everywhere() -> None:
    """At 95 %, over twenty searches of each setting, and its probabilities are calibrated."""
    document = json.loads((ROOT / beliefs.OUTPUT).read_text(encoding="utf-8"))
    assert document["seeds"] >= 20
    assert [one["setting"] for one in document["settings"]] == [s.name for s in beliefs.SETTINGS]
    for one in document["settings"]:
        assert one["regret_difference"]["high"] < 0
        assert one["share_difference"]["low"] > 0
        assert one["believed"]["coverage"]["95"] >= 0.93
        for part in one["believed"]["calibration"]:
            if part["n"] >= 40:
                assert abs(part["p_front"] - part["truly"]) < 0.25
        solid = one["believed"]["solid_truly_on_the_front"]
        assert solid > 0.5 > one["believed"]["hollow_truly_on_the_front"]


def test_a_search_is_read_both_ways() -> None:
    shared = os.environ.get("INVSEARCH_SHARED", "")
    if not (Path(shared) / nas_bench_macro._FILE).is_file():
        pytest.skip("NAS-Bench-Macro is not at hand: set INVSEARCH_SHARED")
    reads = [beliefs.read_runs(beliefs.SETTINGS[2], seed) for seed in range(2)]
    found = beliefs.summary(reads)
    assert found["believed"]["regret"] < found["observed"]["regret"]
    assert reads[0] == beliefs.read_runs(beliefs.SETTINGS[2], 0)
