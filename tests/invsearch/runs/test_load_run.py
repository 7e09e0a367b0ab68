"""load_run: the run as pandas, found by path or name, read without importing what it names."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import invsearch
from invsearch.errors import InputError
from invsearch.metrics import Fidelity, Metric
from invsearch.runs import RunFolder, Trial, describe, outline
from invsearch.runs.environment import environment_id
from invsearch.space.architecture import Architecture, Value

SPACE = """
name: no
objectives: {error: minimize, macs: minimize}
constraints: {macs: {max: 3G}, error: {max: 1e2}}
model: {family: rednet, operators: [gone.py]}
space: {depth: {choice: [26, custom]}}
evaluator: gone.module:function
search: {trials: 8, strategy: random}
"""


def make_run(path: Path) -> RunFolder:
    folder = RunFolder(path)
    folder.create(SPACE, None, {"id": "abc"})
    depths: list[Value] = [26, "custom", 26]
    for number, depth in enumerate(depths):
        failed = number == 2
        folder.append_trials(
            [
                Trial(
                    number=number,
                    state="failed" if failed else "complete",
                    architecture=Architecture((("depth", depth), ("seed", number))),
                    metrics={}
                    if failed
                    else {
                        "macs": Metric("macs", 1e9 * (number + 1), "counted"),
                        "top1": Metric("top1", 80.0, "trained"),
                        "error": Metric(
                            "error", 20.0 - number, "trained", 18, 22, Fidelity(6, 6, 8)
                        ),
                    },
                    seed=5,
                    started="2026-11-22T10:00:00+00:00",
                    error="out of memory" if failed else None,
                )
            ]
        )
    return folder


def test_frame_is_tidy(tmp_path: Path) -> None:
    """One row per trial; a parameter called like another column is told apart by its prefix."""
    make_run(tmp_path / "demo")
    run = invsearch.load_run(tmp_path / "demo")
    table = run.frame()
    assert list(table.columns) == [
        "number", "state", "origin", "seed", "started", "finished", "reason",
        "depth", "param.seed",
        "error", "error_low", "error_high", "error_source",
        "macs", "macs_low", "macs_high", "macs_source",
        "top1", "top1_low", "top1_high", "top1_source",
    ]  # fmt: skip
    assert table["error"].tolist()[:2] == [20.0, 19.0]
    assert pd.isna(table["error"][2])
    assert table["reason"][2] == "out of memory"
    assert table["param.seed"].tolist() == [0, 1, 2]
    assert str(table["started"].dtype).startswith("datetime64")
    assert str(table["error"].dtype) == "float64"


def test_front_is_the_frame_of_its_members(tmp_path: Path) -> None:
    """The same columns and p_front, best first in the first objective."""
    make_run(tmp_path / "demo")
    run = invsearch.load_run(tmp_path / "demo")
    table = run.front()
    assert list(table.columns) == [*run.frame().columns, "p_front"]
    assert table["number"].tolist() == [1, 0]
    assert table["p_front"].between(0, 1).all()


def test_a_run_is_read_without_importing_what_its_space_names(tmp_path: Path) -> None:
    """Operators, evaluators and data sets may be gone years later; YAML 1.2 scalars stay text."""
    make_run(tmp_path / "demo")
    run = invsearch.load_run(tmp_path / "demo")
    assert run.name == "no"
    assert dict(run.objectives) == {"error": "minimize", "macs": "minimize"}
    assert run.constraints == {"macs": {"max": 3e9}, "error": {"max": 100.0}}
    assert run.outline.search["trials"] == "8"
    assert run.environment["id"] == "abc"


@pytest.mark.parametrize("text", ["", "[1", "- a", "name: [x", "objectives: 3\nsearch: [1]"])
def test_an_outline_of_anything_is_an_outline(text: str) -> None:
    """A half-made folder still gives a page."""
    assert dict(outline(text).objectives) == {}


def test_a_run_is_found_by_path_or_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path that exists wins; a name is looked up under results/."""
    make_run(tmp_path / "results" / "rednet")
    monkeypatch.chdir(tmp_path)
    assert len(invsearch.load_run("rednet").trials) == 3
    assert len(invsearch.load_run("results/rednet").trials) == 3


@pytest.mark.parametrize(
    ("name", "message"),
    [("rednt", "did you mean 'rednet'"), ("zzz", "there are: rednet"), ("other", "holds no run")],
)
def test_a_missing_run_names_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, message: str
) -> None:
    """One line, with the nearest name or those there are."""
    make_run(tmp_path / "results" / "rednet")
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        invsearch.load_run(name)


def test_an_empty_half_made_run_loads(tmp_path: Path) -> None:
    """A kill before the first trial leaves a run that can be looked at."""
    (tmp_path / "space.yaml").write_text("name: x\n")
    run = invsearch.load_run(tmp_path)
    assert run.trials == ()
    assert run.frame().empty
    assert run.front().empty
    assert run.hypervolume == ()


def test_environment_is_json_with_a_stable_id() -> None:
    """Trials refer to the id; another process on the same machine gets the same one."""
    described = describe()
    assert json.loads(json.dumps(described)) == described
    assert {"machine", "versions"} <= set(described)
    code = "from invsearch.runs import describe; print(describe()['id'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == described["id"]


def test_environment_id_ignores_what_changes_by_the_minute() -> None:
    """Load, clocks and a process's threads are recorded, and are no other machine."""
    facts = {"machine": {"cpu": "x", "load_average": 0.5}, "versions": {"torch": "2"}}
    later = {"machine": {"cpu": "x", "load_average": 3.0, "threads": 1}, "versions": {"torch": "2"}}
    newer = {"machine": {"cpu": "x", "load_average": 0.5}, "versions": {"torch": "3"}}
    assert environment_id(facts) == environment_id(later)
    assert environment_id(facts) != environment_id(newer)


def test_importing_invsearch_is_light() -> None:
    """The command line must answer at once; heavy libraries come when they are used."""
    code = (
        "import sys, invsearch\n"
        "heavy = {'torch', 'ray', 'optuna', 'plotly', 'pandas', 'fvcore'} & set(sys.modules)\n"
        "assert not heavy, heavy; invsearch.__version__"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_invsearch_has_no_other_names() -> None:
    """A misspelt name is an AttributeError, not a silent import."""
    with pytest.raises(AttributeError, match="lod_run"):
        _ = invsearch.lod_run
