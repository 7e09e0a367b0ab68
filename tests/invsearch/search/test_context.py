"""The trial's context: number, seed, folder, and reports by which rungs work for any evaluator."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from toy import invsearch, one_line, passed, trial_lines

from invsearch import load_run

EVALUATOR = '''
import json
import random


def told(values, context):
    (context.folder / "kept").write_text("1")
    return {"error": 1.0, "number": context.number, "seed": context.seed, "drawn": random.random()}


def by_name(values, *, context):
    return {"error": float(context.number)}


def of_its_own(values, epochs=3):
    return {"error": float(epochs)}


def none(values):
    return {"error": 1.0}


def three(values, context, more):
    return {"error": 1.0}


def curve(values, context):
    """Each falls to its own value; what is told to stop stops."""
    for epoch in range(1, 10):
        error = values["x"] + 10.0 / epoch
        if epoch < 9 and context.report(epoch, {"error": error}):
            return None
    return {"error": error}


def every_third(values, context):
    for epoch in (3, 6, 9):
        if context.report(epoch, {"error": values["x"] + 10.0 / epoch}):
            raise RuntimeError("stopped")
    return {"error": values["x"]}


def misreported(values, context):
    steps = {1: -1, 2: "one", 3: True}
    metrics = {4: {"error": "x"}, 5: None}
    x = values["x"]
    context.report(steps.get(x, 1), metrics.get(x, {"error": 1.0}))
    return {"error": 1.0}


def steady(values, context):
    value = 12.0 - values["x"]
    return {"error": {"value": value, "low": value - 1, "high": value + 1}, "size": values["x"]}


def shaky(values, context):
    value = random.Random(context.seed).random()
    return {"error": {"value": value, "low": value - 1, "high": value + 1}, "size": values["x"]}
'''


def write(folder: Path, function: str, *, objectives: str = "error", **search: Any) -> Path:
    (folder / "evaluators.py").write_text(EVALUATOR)
    path = folder / "space.yaml"
    document = {
        "name": "context",
        "objectives": dict.fromkeys(objectives.split(), "minimize"),
        "params": {"x": {"range": [1, 12], "step": 1}},
        "evaluator": f"evaluators:{function}",
        "search": {"strategy": "random", "trials": 12, **search},
    }
    path.write_text(json.dumps(document))
    return path


def run(folder: Path, function: str, *arguments: object, **settings: Any) -> list[dict[str, Any]]:
    space = write(folder, function, **settings)
    passed(invsearch(folder, "run", space, "--executor", "serial", *arguments))
    return trial_lines(folder / "results" / "context")


def test_number_seed_and_folder(tmp_path: Path) -> None:
    trials = run(tmp_path, "told")
    assert [t["metrics"]["number"]["value"] for t in trials] == [t["number"] for t in trials]
    assert [t["metrics"]["seed"]["value"] for t in trials] == [t["seed"] for t in trials]
    assert not list((tmp_path / "results" / "context" / "checkpoints").iterdir())


def test_global_generators_are_seeded_with_the_trial(tmp_path: Path) -> None:
    """What is drawn depends on the seed, not on the trials before."""
    (tmp_path / "one").mkdir()
    first = {t["seed"]: t["metrics"]["drawn"] for t in run(tmp_path / "one", "told", trials=3)}
    every = {t["seed"]: t["metrics"]["drawn"] for t in run(tmp_path, "told", seed=0)}
    assert len({json.dumps(drawn) for drawn in every.values()}) == 12
    assert all(every[seed] == drawn for seed, drawn in first.items())


@pytest.mark.parametrize(("function", "error"), [("by_name", None), ("of_its_own", 3.0)])
def test_how_the_context_is_taken(tmp_path: Path, function: str, error: float | None) -> None:
    """By keyword too; an optional second argument of another name is the evaluator's own."""
    for trial in run(tmp_path, function, trials=3):
        expected = trial["number"] if error is None else error
        assert trial["metrics"]["error"]["value"] == expected


def test_an_evaluator_of_other_arguments_is_refused_first(tmp_path: Path) -> None:
    one_line(invsearch(tmp_path, "run", write(tmp_path, "three")), "three", "a context")


@pytest.mark.parametrize("function", ["curve", "every_third"])
def test_rungs_stop_what_is_weak(tmp_path: Path, function: str) -> None:
    """At the first report at or after each rung; what an evaluator does then is no matter."""
    trials = run(tmp_path, function, rungs=[2, 5])
    states = {t["architecture"]["x"]: t["state"] for t in trials}
    assert set(states.values()) == {"complete", "stopped"}
    assert states[1] == "complete"
    for trial in trials:
        spent = trial["metrics"]["error"]["fidelity"]
        first = {"curve": (2, 5), "every_third": (3, 6)}[function]
        assert (spent is None) == (trial["state"] == "complete")
        assert spent is None or spent["epochs"] in first


def test_without_rungs_nothing_is_stopped(tmp_path: Path) -> None:
    assert {trial["state"] for trial in run(tmp_path, "curve")} == {"complete"}


def test_a_wrong_report_fails_with_its_reason(tmp_path: Path) -> None:
    errors = {t["architecture"]["x"]: t["error"] for t in run(tmp_path, "misreported")}
    assert all("whole number from 0" in errors[x] for x in (1, 2, 3))
    assert "context.report returned 'error': 'x', not a number" in errors[4]
    assert "expected a dict" in errors[5]
    assert errors[6] is None


def test_rungs_without_a_context_are_said_to_have_no_effect(tmp_path: Path) -> None:
    space = write(tmp_path, "none", rungs=[2], trials=2)
    done = passed(invsearch(tmp_path, "run", space, "--executor", "serial"))
    assert "search.rungs has no effect" in done.stderr


def test_repeating_what_is_deterministic_narrows_nothing(tmp_path: Path) -> None:
    """Another seed that gives the same to the last digit is no further measurement."""
    for name, narrowed in (("steady", False), ("shaky", True)):
        folder = tmp_path / name
        folder.mkdir()
        run(folder, name, objectives="error size", replicates=2)
        loaded = load_run(folder / "results" / "context").trials
        errors = [trial.metrics["error"] for trial in loaded]
        assert any(error.high - error.low < 1.9 for error in errors) == narrowed
        assert any(error.n > 1 for error in errors) == narrowed
        assert (folder / "results" / "context" / "replicates.jsonl").exists()
