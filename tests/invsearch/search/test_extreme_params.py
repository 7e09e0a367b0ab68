"""What ``explain`` accepts, ``run`` samples; what a search cannot hold is refused by both alike."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from toy import invsearch, one_line, passed, trial_lines

EVALUATOR = """
def evaluate(values):
    a = values["a"]
    return {"x": float(len(str(a))), "y": -float(len(str(a)))}
"""


def write(folder: Path, parameter: str, strategy: str = "cost_aware") -> Path:
    (folder / "extreme.py").write_text(EVALUATOR)
    path = folder / "extreme.yaml"
    path.write_text(
        "name: extreme\nobjectives: {x: minimize, y: minimize}\nevaluator: extreme:evaluate\n"
        f"params: {{a: {parameter}, b: {{choice: [u, v]}}}}\n"
        f"search: {{trials: 6, strategy: {strategy}}}\n"
    )
    return path


@pytest.mark.parametrize("strategy", ["cost_aware", "random", "tpe", "nsga2", "evolution"])
@pytest.mark.parametrize(
    "parameter",
    [
        "{range: [-8e307, 8e307]}",
        "{range: [1e-300, 1e300], log: true}",
        "{range: [-9007199254740991, 9007199254740991]}",
        "{range: [0, 1e-300]}",
        "{choice: [1]}",
        "{choice: [" + ", ".join(f"c{i}" for i in range(3_000)) + "]}",
    ],
    ids=["wide", "log", "whole", "narrow", "single", "many"],
)
def test_what_is_explained_is_run(tmp_path: Path, parameter: str, strategy: str) -> None:
    path = write(tmp_path, parameter, strategy)
    passed(invsearch(tmp_path, "explain", path))
    passed(invsearch(tmp_path, "run", path, "--executor", "serial", "--out", "run"))
    lines = trial_lines(tmp_path / "run")
    assert {line["state"] for line in lines} == {"complete"}
    values = [line["architecture"]["a"] for line in lines]
    assert all(not isinstance(value, float) or math.isfinite(value) for value in values)


@pytest.mark.parametrize(
    "parameter",
    [
        "{range: [-1e308, 1e308]}",
        "{range: [0, 18446744073709551616]}",
        "{range: [0, 1], step: 1e-300}",
        "{range: [2, 1]}",
        "{range: [3, 3]}",
        "{range: [0, 1], log: true}",
        "{range: [.nan, 1]}",
        "{range: [0, .inf]}",
    ],
)
def test_what_cannot_be_run_is_not_explained(tmp_path: Path, parameter: str) -> None:
    path = write(tmp_path, parameter)
    for command in (("explain", path), ("run", path, "--executor", "serial", "--out", "run")):
        one_line(invsearch(tmp_path, *command), "params.a")
    assert not (tmp_path / "run").exists()
