"""A warm start predicts from earlier runs, and helps where they are related."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from toy import SPACE, invsearch, one_line, passed, trial_lines, write_space

from invsearch.search.warm_start import Additive


def test_additive_truth_is_recovered() -> None:
    points = [{"a": a, "b": b} for a, b in itertools.product("xyz", range(4))]
    truth = [np.exp("xyz".index(str(p["a"])) - 0.5 * int(p["b"])) for p in points]
    model = Additive(points, truth, penalty=1e-6)
    predicted = [model(point) for point in points]
    assert predicted == pytest.approx(np.log(truth), abs=1e-4)
    assert model({"a": "never seen", "c": 1}) == pytest.approx(np.log(truth).mean(), abs=2)


def test_earlier_run_guides_the_first_proposals_of_the_next(tmp_path: Path) -> None:
    """Without it the best architecture is found late; an earlier run of a related space knows."""
    text = SPACE.replace("[1, 9]", "[1, 60]")
    run = ("run", "toy.yaml", "--executor", "serial")
    write_space(tmp_path, text, costs="toy_evaluator:costs")
    passed(invsearch(tmp_path, *run, "--trials", 40, "--out", "results/earlier"))
    best = []
    for name, settings in (("cold", []), ("warm", ["--set", "search.warm_start=[earlier]"])):
        arguments = ("--trials", 8, "--seed", 9, "--out", name, *settings)
        passed(invsearch(tmp_path, *run, *arguments))
        errors = [t["metrics"]["error"]["value"] for t in trial_lines(tmp_path / name)]
        best.append(min(errors))
    assert best[1] < best[0]


def test_missing_or_poor_earlier_run_is_one_line(tmp_path: Path) -> None:
    write_space(tmp_path)
    run = ("run", "toy.yaml", "--executor", "serial")
    one_line(invsearch(tmp_path, *run, "--set", "search.warm_start=[nowhere]"), "nowhere")
    passed(invsearch(tmp_path, *run, "--trials", 2, "--out", "results/poor"))
    one_line(invsearch(tmp_path, *run, "--set", "search.warm_start=[poor]"), "poor", "fewer than")
