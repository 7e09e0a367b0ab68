"""Reliability: known variances are found, intervals cover, and the words follow the numbers."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from invsearch import load_run
from invsearch.metrics import Fidelity, Metric
from invsearch.runs import Replicate, RunFolder, Trial
from invsearch.runs.reliability import Reliability, reliability, seed_taus
from invsearch.runs.reliability_text import reliability_lines, reliability_text
from invsearch.space.architecture import Architecture

SPACE = """
name: made
objectives: {val_loss: minimize, macs: minimize}
model: {family: rednet}
"""


def drawn(
    rng: np.random.Generator, sizes: Sequence[int], between: float, within: float
) -> list[list[float]]:
    return [(rng.normal(0, between) + rng.normal(0, within, size)).tolist() for size in sizes]


def test_it_is_the_textbook_intraclass_correlation() -> None:
    """Shrout and Fleiss (1979): four judges of six targets, ICC(1,1) = .17, from their table 2."""
    ratings = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
    found = reliability(ratings)
    assert found is not None
    assert found.value == pytest.approx(0.166, abs=5e-4)
    assert (found.low, found.high) == (0.0, pytest.approx(0.723, abs=2e-3))  # R's psych::ICC
    assert found.seed_sd**2 == pytest.approx(6.264, abs=1e-3)  # its mean square within
    assert (found.n, found.trainings) == (6, 24)


@pytest.mark.parametrize("sizes", [[2] * 24, [1] * 18 + [2] * 4 + [3] * 6])
def test_the_interval_covers_the_truth(sizes: list[int]) -> None:
    """At 95 %, balanced and as a search leaves it: most trials of one seed."""
    rng, truth = np.random.default_rng(0), 0.03**2 / (0.03**2 + 0.02**2)
    covered, values = 0, []
    for _ in range(400):
        found = reliability(drawn(rng, sizes, 0.03, 0.02))
        assert found is not None
        covered += found.low <= truth <= found.high
        values.append(found.value)
    assert 0.92 <= covered / 400 <= 0.98
    assert np.median(values) == pytest.approx(truth, abs=0.04)


def test_nothing_is_said_of_too_little() -> None:
    assert reliability([[1.0], [2.0], [3.0]]) is None
    assert reliability([[1.0, 2.0], [2.0, 1.0]]) is None
    assert reliability([]) is None


def test_seeds_that_always_agree_and_networks_that_are_all_alike() -> None:
    same = reliability([[1.0, 1.0], [2.0, 2.0], [3.0]])
    assert same is not None
    assert (same.value, same.low, same.high, same.seed_sd) == (1.0, 1.0, 1.0, 0.0)
    noise = reliability([[1.0, 2.0], [2.0, 1.0], [1.5, 1.5]])
    assert noise is not None
    assert (noise.value, noise.low) == (0.0, 0.0)
    assert noise.seeds_for() is None


@pytest.mark.parametrize(("value", "seeds"), [(0.6, 1), (0.3, 4), (0.5, 2), (0.1, 14), (0.9, 1)])
def test_seeds_that_are_needed_are_spearman_and_browns(value: float, seeds: int) -> None:
    found = Reliability(value, 0, 1, 0.02, 0.01, 9, 18)
    assert found.seeds_for(0.6) == seeds
    assert found.of_means(seeds) >= 0.6 - 1e-9
    assert seeds == 1 or found.of_means(seeds - 1) < 0.6


def test_equal_cost_takes_out_that_bigger_is_better() -> None:
    """Seeds that agree on size alone agree no longer; those that agree beyond it still do."""
    rng = np.random.default_rng(1)
    costs = {number: float(np.exp(number / 10)) for number in range(60)}
    size = {number: -number / 10 for number in costs}
    noise = {n: (size[n] + rng.normal(), size[n] + rng.normal()) for n in costs}
    taus = seed_taus(noise, costs)
    assert taus is not None
    assert taus.equal_cost is not None
    assert taus.tau > 0.5 > 0.2 > abs(taus.equal_cost)
    real = {n: (size[n] + e, size[n] + e) for n, e in zip(costs, rng.normal(size=60), strict=True)}
    known = seed_taus(real, costs)
    assert known is not None
    assert known.equal_cost == pytest.approx(1.0)
    assert seed_taus({0: (1, 2), 1: (2, 3)}, costs) is None


def trial(number: int, loss: float) -> Trial:
    spent = Fidelity(5, 5, 14, dataset="fashion_mnist")
    metrics = {
        "val_loss": Metric("val_loss", loss, "trained", loss - 0.01, loss + 0.01, spent),
        "macs": Metric("macs", 1e6 * (number + 1), "counted"),
    }
    return Trial(number, "complete", Architecture((("width", number),)), metrics, seed=number)


def made(path: Path, groups: Sequence[Sequence[float]]) -> RunFolder:
    folder = RunFolder(path)
    folder.create(SPACE)
    folder.append_trials([trial(number, group[0]) for number, group in enumerate(groups)])
    for number, group in enumerate(groups):
        for seed, loss in enumerate(group[1:], 1):
            further = {"val_loss": trial(number, loss).metrics["val_loss"]}
            folder.append_replicate(Replicate(number, 100 + seed, further))
    folder.write_front(folder.trials(), {"val_loss": "minimize", "macs": "minimize"})
    return folder


def test_a_run_says_it_in_python_in_front_csv_and_in_words(tmp_path: Path) -> None:
    groups = drawn(np.random.default_rng(3), [2] * 6 + [1] * 6, 0.05, 0.02)
    folder = made(tmp_path / "run", groups)
    run, expected = load_run(folder.path), reliability(groups)
    assert expected is not None
    told = run.reliability()
    assert told.keys() == {"val_loss"}
    keys = {"value", "low", "high", "seed_sd", "architecture_sd", "n"}
    assert told["val_loss"] == {key: pytest.approx(getattr(expected, key)) for key in keys}
    rows = list(csv.DictReader(folder.front_path.read_text().splitlines()))
    assert {float(row["val_loss_reliability"]) for row in rows} == {told["val_loss"]["value"]}
    assert {float(row["val_loss_seed_sd"]) for row in rows} == {told["val_loss"]["seed_sd"]}
    assert {row["val_loss_verdict"] for row in rows} == {expected.verdict}
    (line,) = reliability_lines(run)
    assert "on this data and budget, differences below 0.0" in line
    assert f"reliability of the ranking {expected.value:.2f}".replace("0.", ".") in line


def test_a_run_without_replicates_claims_nothing(tmp_path: Path) -> None:
    run = load_run(made(tmp_path / "run", [[0.1], [0.2], [0.3], [0.4]]).path)
    assert run.reliability() == {}
    assert "nothing says what is noise" in reliability_lines(run)[0]


def test_below_a_third_the_front_is_a_shortlist_and_it_says_how_to_get_more() -> None:
    poor = reliability_text("val_loss", Reliability(0.2, 0.0, 0.5, 0.02, 0.01, 20, 30))
    assert "a shortlist of costs" in poor
    assert "3 seeds a network would give .43 (Spearman-Brown)" in poor
    assert "6 seeds a network reach .60" in poor
    assert "6 x the epochs or images" in poor
    timed = reliability_text("val_loss", Reliability(0.2, 0.0, 0.5, 0.02, 0.01, 20, 30), seconds=30)
    assert "one more seed of all 20 takes 10 minutes of one worker" in timed
    fair = reliability_text("val_loss", Reliability(0.4, 0.1, 0.6, 0.02, 0.016, 20, 30))
    assert "shortlist" not in fair
    assert "3 seeds a network reach .60" in fair
    good = reliability_text("val_loss", Reliability(0.7, 0.5, 0.8, 0.02, 0.03, 20, 30))
    assert good.endswith("(.50 to .80; 20 networks, 30 trainings)")
    none = reliability_text("error", Reliability(0.0, 0.0, 0.2, 1.0, 0.0, 20, 30))
    assert "not even 20 seeds" in none
