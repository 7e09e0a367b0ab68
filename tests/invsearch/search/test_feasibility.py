"""Bounds that nothing keeps, points whose costs fail, regions in which everything fails."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from toy import invsearch, one_line, passed, trial_lines

from invsearch.bench.contests.contest import comparable

# a proposal of others' Gaussian processes takes seconds
SLOW = tuple(
    f"test_bad_points_of_costs_are_failed_trials_and_no_more[{name}" for name in ("gp", "botorch")
)

FUNCTIONS = '''
import math


def costs(values):
    return {"size": values["a"] * values["b"], "depth": values["a"]}


def patchy(values):
    """Raises, gives no number, leaves one out, or is not even a dict: at one value of a each."""
    if values["a"] == 2:
        raise SystemExit("no costs")
    if values["a"] == 3:
        return {"size": math.nan, "depth": 3}
    if values["a"] == 4:
        return {"depth": 4}
    if values["a"] == 5:
        return None
    return costs(values)


def rare(values):
    """One in 500 is small."""
    return {"size": 1.0 if int(values["x"] * 500) == 77 else 100.0}


def evaluate(values):
    return {"error": 20 - values["a"] + values["b"] / 10, **costs(values)}


def alike(values):
    return {"error": values["x"], "size": 1.0}


def cornered(values):
    if values["a"] <= 6:
        raise ValueError("small")
    return evaluate(values)
'''
PARAMS = {"a": {"range": [1, 8], "step": 1}, "b": {"range": [1, 8], "step": 1}}
REAL = {"x": {"range": [0.0, 1.0]}}


def write(folder: Path, constraints: dict[str, Any] | None = None, **changed: Any) -> Path:
    (folder / "bounded.py").write_text(FUNCTIONS)
    search = {"strategy": "random", "trials": 12, **changed.pop("search", {})}
    document = {
        "name": "bounded",
        "objectives": {"error": "minimize", "size": "minimize"},
        "constraints": constraints or {},
        "params": PARAMS,
        "evaluator": "bounded:evaluate",
        "costs": "bounded:costs",
        "search": search,
        **changed,
    }
    path = folder / "space.yaml"
    path.write_text(json.dumps({key: value for key, value in document.items() if value}))
    return path


@pytest.mark.parametrize("command", ["explain", "run"])
@pytest.mark.parametrize(
    ("constraints", "words"),
    [
        ({"size": {"max": 0.5}}, "nothing meets size <= 0.5; the smallest is 1"),
        ({"size": {"min": 65}}, "nothing meets size >= 65; the largest is 64"),
        ({"size": {"min": 60}, "depth": {"max": 2}}, "nothing meets the bounds on depth, size"),
    ],
)
def test_bounds_that_nothing_keeps_are_refused_before_any_trial(
    tmp_path: Path, command: str, constraints: dict[str, Any], words: str
) -> None:
    one_line(invsearch(tmp_path, command, write(tmp_path, constraints)), words)
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("command", ["explain", "run"])
def test_networks_too_large_for_their_bound_are_refused(tmp_path: Path, command: str) -> None:
    bound = ("--set", "constraints={macs: {max: 1k}}")
    line = one_line(invsearch(tmp_path, command, "rednet", *bound))
    assert "nothing meets macs <= 1k; the smallest is" in line


@pytest.mark.parametrize("strategy", comparable())
def test_what_keeps_a_rare_bound_is_found_without_end_of_proposals(
    tmp_path: Path, strategy: str
) -> None:
    changed = {"params": REAL, "evaluator": "bounded:alike", "costs": "bounded:rare"}
    space = write(tmp_path, {"size": {"max": 1}}, **changed, search={"strategy": strategy})
    passed(invsearch(tmp_path, "run", space, "--executor", "serial", "--trials", 3))
    states = [trial["state"] for trial in trial_lines(tmp_path / "results" / "bounded")]
    assert states.count("complete") == 3
    assert states.count("infeasible") <= 64 + 10 * 3


def test_an_infeasible_trial_and_an_empty_front_name_the_bound(tmp_path: Path) -> None:
    """The metric is only known after the evaluation, so nothing could be said before."""
    space = write(tmp_path, {"error": {"max": 10}}, search={"trials": 4})
    done = passed(invsearch(tmp_path, "run", space, "--executor", "serial"))
    assert "breaks error <= 10" in done.stderr
    assert "the front is empty: nothing meets error <= 10; the smallest is" in done.stdout
    report = passed(invsearch(tmp_path, "report", "bounded", "-o", "page.html"))
    assert report.stdout.strip().endswith("page.html")
    assert "nothing meets error &lt;= 10; the smallest is" in (tmp_path / "page.html").read_text()
    space = write(tmp_path, {"size": {"max": 20}}, name="known")
    passed(invsearch(tmp_path, "run", space, "--executor", "serial"))
    trials = trial_lines(tmp_path / "results" / "known")
    infeasible = [trial["error"] for trial in trials if trial["state"] == "infeasible"]
    assert infeasible
    assert all("breaks size <= 20" in reason for reason in infeasible)


@pytest.mark.parametrize("strategy", [*comparable(), "exhaustive"])
def test_bad_points_of_costs_are_failed_trials_and_no_more(tmp_path: Path, strategy: str) -> None:
    space = write(tmp_path, costs="bounded:patchy", search={"strategy": strategy, "trials": 100})
    passed(invsearch(tmp_path, "run", space, "--executor", "serial"))
    trials = trial_lines(tmp_path / "results" / "bounded")
    assert len(trials) == 64
    assert {t["architecture"]["a"] for t in trials if t["state"] == "failed"} == {2, 3, 4, 5}
    reasons = {t["architecture"]["a"]: t["error"] for t in trials if t["state"] == "failed"}
    assert "SystemExit: no costs" in reasons[2]
    assert "not a finite number" in reasons[3]
    assert "gave no size" in reasons[4]
    assert sum(t["state"] == "complete" for t in trials) == 32
    passed(invsearch(tmp_path, "explain", space))


def test_costs_that_fail_everywhere_are_refused(tmp_path: Path) -> None:
    params = {**PARAMS, "a": {"range": [2, 5], "step": 1}}
    bad = write(tmp_path, costs="bounded:patchy", params={**params, "a": {"choice": [2]}})
    one_line(invsearch(tmp_path, "run", bad), "bounded:patchy", "wherever it was tried")


@pytest.mark.parametrize("strategy", comparable())
@pytest.mark.parametrize("known", [True, False])
def test_a_region_that_always_fails_is_left_alone(
    tmp_path: Path, strategy: str, known: bool
) -> None:
    """Three quarters of the space, the side where size is best."""
    space = write(
        tmp_path,
        params={**PARAMS, "c": {"range": [0.0, 1.0]}, "d": {"choice": ["p", "q", "r"]}},
        evaluator="bounded:cornered",
        costs="bounded:costs" if known else None,
        search={"strategy": strategy, "trials": 40},
    )
    passed(invsearch(tmp_path, "run", space, "--executor", "serial"))
    states = [trial["state"] for trial in trial_lines(tmp_path / "results" / "bounded")]
    assert states[20:].count("failed") <= 5
