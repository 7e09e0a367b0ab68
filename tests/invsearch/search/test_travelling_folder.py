"""A run holds what it refers to: moved, renamed and on its own it goes on and can be repeated."""

from __future__ import annotations

import html
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from toy import invsearch, passed, trial_lines, without_times

HELPED = """
from parts.sums import total
import offset as shifted


def evaluate(values):
    import lazily
    return {"error": total(values) + shifted.BY, "size": lazily.size(values)}
"""
FILES = {
    "ev.py": HELPED,
    "offset.py": "BY = 1\n",
    "lazily.py": "def size(values):\n    return values['x']\n",
    "parts/__init__.py": "",
    "parts/sums.py": "from .deeper import square\n\ntotal = lambda v: square(v['x'] - 3)\n",
    "parts/deeper.py": "def square(x):\n    return x * x\n",
    "unrelated.py": "raise SystemExit('never imported')\n",
}
SPACE = """
name: travels
objectives: {error: minimize, size: minimize}
params: {x: {range: [1, 40], step: 1}}
evaluator: ev:evaluate
costs: ev_costs:costs
search: {trials: 6, seed: 2}
"""
COSTS = "def costs(values):\n    return {'size': values['x']}\n"


def away(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """A process of its own: modules of one name live in several folders here."""
    folder.mkdir(exist_ok=True)
    return invsearch(folder, *arguments, OMP_NUM_THREADS="1")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    for name, text in {**FILES, "ev_costs.py": COSTS, "travels.yaml": SPACE}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def moved(project: Path, tmp_path: Path) -> Path:
    """A run of four trials under a new name, its project gone."""
    passed(away(project, "run", "travels.yaml", "--executor", "serial", "--trials", 4))
    run = tmp_path / "the [new] name"
    (project / "results" / "travels").rename(run)
    shutil.rmtree(project)
    return run


def test_a_moved_run_keeps_its_modules_resumes_and_is_reported(moved: Path) -> None:
    kept = {str(path.relative_to(moved / "sources")) for path in moved.rglob("sources/**/*.py")}
    assert kept == {*FILES, "ev_costs.py"} - {"unrelated.py"}
    elsewhere = moved.parent / "elsewhere"
    resume = ("--executor", "serial", "--resume", "--trials", 6, "--out", moved)
    result = passed(away(elsewhere, "run", moved / "space.yaml", *resume))
    assert "changed" not in result.stderr
    assert [trial["state"] for trial in trial_lines(moved)] == ["complete"] * 6
    passed(away(elsewhere, "report", moved, "-o", "page.html"))
    here = ("run", "space.yaml", "--executor", "serial", "--resume", "--trials", 7, "--out", ".")
    passed(away(moved, *here))
    assert len(trial_lines(moved)) == 7


@pytest.mark.parametrize("inside", [True, False], ids=["from inside", "from above"])
def test_the_repeat_command_of_the_page_works_word_for_word(moved: Path, inside: bool) -> None:
    cwd = moved if inside else moved.parent
    passed(away(cwd, "report", "." if inside else moved.name, "-o", "page.html"))
    page = (cwd / "page.html").read_text()
    found = re.search(r"invsearch run [^<]*space\.yaml[^<]*--out [^<]*-again[^<]*", page)
    assert found
    words = shlex.split(html.unescape(found[0]))
    assert words[0] == "invsearch"
    passed(away(cwd, *words[1:]))
    again = cwd / words[words.index("--out") + 1]
    assert without_times(trial_lines(again)) == without_times(trial_lines(moved))
    assert (again / "sources" / "parts" / "deeper.py").is_file()
    passed(away(cwd, "report", "." if inside else moved.name, "-o", "page.html"))
    assert "-again-2" in (cwd / "page.html").read_text()


def test_changed_code_is_said_and_the_runs_own_is_used(project: Path) -> None:
    arguments = ("run", "travels.yaml", "--executor", "serial")
    passed(away(project, *arguments, "--trials", 3))
    passed(away(project, *arguments, "--trials", 6, "--out", "whole"))
    (project / "parts" / "deeper.py").write_text("def square(x):\n    return -1000\n")
    result = passed(away(project, *arguments, "--resume"))
    lines = [line for line in result.stderr.splitlines() if "changed since" in line]
    assert len(lines) == 1
    assert "parts/deeper.py" in lines[0]
    run = project / "results" / "travels"
    assert without_times(trial_lines(run)) == without_times(trial_lines(project / "whole"))


@pytest.mark.slow
def test_unchanged_code_runs_where_it_is_with_what_lies_beside_it(project: Path) -> None:
    """Code may read a table beside itself, which is not copied."""
    table = "import pathlib\nBY = int(pathlib.Path(__file__).with_name('t').read_text())\n"
    (project / "offset.py").write_text(table)
    (project / "t").write_text("5")
    arguments = ("run", "travels.yaml", "--executor", "serial", "--trials")
    passed(away(project, *arguments, 2))
    passed(away(project, *arguments, 4, "--resume"))
    again = ("run", "results/travels/space.yaml", "--executor", "serial", "--out", "again")
    passed(away(project, *again))
    moved = project.rename(project.with_name("renamed"))
    passed(away(moved, *arguments, 6, "--resume"))
    assert {trial["state"] for trial in trial_lines(moved / "results" / "travels")} == {"complete"}


def test_a_missing_copy_is_one_line(moved: Path) -> None:
    (moved / "sources" / "offset.py").unlink()
    result = away(moved, "run", "space.yaml", "--executor", "serial", "--resume", "--out", ".")
    assert result.returncode == 2
    assert "sources/offset.py is missing" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


@pytest.mark.sampled(3)
@pytest.mark.parametrize("content", ["", "{", "[]", '{"schema": 1}', '{"schema": 2}', "\0\1"])
def test_a_damaged_list_of_sources_is_one_line(moved: Path, content: str) -> None:
    (moved / "sources" / "sources.json").write_text(content)
    result = away(moved, "run", "space.yaml", "--executor", "serial", "--resume", "--out", ".")
    assert result.returncode == 2
    assert "sources.json" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


OPERATOR = """
from torch import nn

import ops
from reach import STEP


@ops.register("travelling_{name}", macs=lambda shape, *, stride: 0, params=lambda channels: 0)
def shift(channels, *, stride):
    return nn.MaxPool2d(3, stride, STEP)
"""
NETWORKS = """
name: networks
objectives: {macs: minimize}
model: {family: rednet, resolution: 32, operators: [shift.py, more/shift.py, ../outside.py]}
space: {width: {choice: [0.25, 0.5]}, stage: {blocks: 1, operator: travelling_shift}}
search: {strategy: random, trials: 2}
"""


@pytest.mark.slow
def test_operator_files_of_one_name_travel_too(tmp_path: Path) -> None:
    project = tmp_path / "project"
    for name, place in (("shift", "."), ("more", "more"), ("outside", "..")):
        file = "outside.py" if name == "outside" else "shift.py"
        (project / place).mkdir(parents=True, exist_ok=True)
        (project / place / file).write_text(OPERATOR.replace("{name}", name))
        (project / place / "reach.py").write_text("STEP = 1\n")
    (project / "networks.yaml").write_text(NETWORKS)
    passed(away(project, "run", "networks.yaml", "--trials", 1))
    run = tmp_path / "run"
    (project / "results" / "networks").rename(run)
    for gone in (project, tmp_path / "outside.py", tmp_path / "reach.py"):
        shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    passed(away(tmp_path, "run", "run/space.yaml", "--resume", "--trials", 2, "--out", "run"))
    assert len(trial_lines(run)) == 2
    passed(away(tmp_path / "other", "export", run, 0, "-o", "spec.json"))


def images(folder: Path) -> None:
    """A data set of two classes, of 8 x 8 pixels."""
    import io

    import numpy as np
    import pandas as pd
    from PIL import Image

    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name, count in (("train", 40), ("test", 20)):
        rows: list[dict[str, Any]] = []
        for index in range(count):
            buffer = io.BytesIO()
            pixels = rng.integers(0, 100, (8, 8, 3)) + 100 * (index % 2)
            Image.fromarray(pixels.astype("uint8")).save(buffer, "PNG")
            rows.append({"image": {"bytes": buffer.getvalue()}, "label": index % 2})
        pd.DataFrame(rows).to_parquet(folder / f"{name}.parquet")


TRAINED = """
name: trained
objectives: {error: minimize, macs: minimize}
model: {family: rednet, resolution: 32}
space: {width: {choice: [0.25, 0.5, 0.75]}, stage: {blocks: 1}}
accuracy: {dataset: photos, epochs: 1, batch_size: 8, baselines: false}
search: {strategy: random, trials: 1}
"""


@pytest.mark.slow
def test_a_data_set_is_found_by_its_place_from_the_run(tmp_path: Path) -> None:
    """Project and data move together, and the run is used from somewhere else."""
    project = tmp_path / "project"
    images(project / "data" / "photos")
    (project / "data" / "trained.yaml").write_text(TRAINED)
    arguments = ("--executor", "serial", "--out", "run")
    passed(away(project, "run", "data/trained.yaml", *arguments))
    moved = project.rename(tmp_path / "moved")
    resume = ("--executor", "serial", "--out", moved / "run", "--resume", "--trials", 2)
    passed(away(tmp_path / "other", "run", moved / "run" / "space.yaml", *resume))
    trials = trial_lines(moved / "run")
    assert [trial["state"] for trial in trials] == ["complete"] * 2, trials
    passed(away(moved, "run", "data/trained.yaml", *arguments, "--resume", "--trials", 3))
    manifest = json.loads((moved / "run" / "sources" / "sources.json").read_text())
    assert manifest["paths"]["photos"][1] == "../data/photos"


def test_installed_modules_are_not_copied(tmp_path: Path) -> None:
    (tmp_path / "plain.yaml").write_text(
        SPACE.replace("ev:evaluate", "statistics:mean").replace("costs: ev_costs:costs\n", "")
    )
    away(tmp_path, "run", "plain.yaml", "--executor", "serial", "--trials", 1)
    assert (tmp_path / "results" / "travels" / "space.yaml").is_file()
    assert not (tmp_path / "results" / "travels" / "sources").exists()


def test_an_installed_evaluator_is_told_from_a_file_beside(tmp_path: Path) -> None:
    """What is read, not run: a module is not imported to see what it imports."""
    from invsearch.space.referred import beside_file, beside_module

    (tmp_path / "boom.py").write_text("raise RuntimeError\n")
    code = "import json, torch, invsearch, nowhere\n\ndef late():\n    import boom\n"
    (tmp_path / "own.py").write_text(code)
    assert {found.file for found in beside_file(tmp_path / "own.py")} == {"own.py", "boom.py"}
    assert "boom" not in sys.modules
    assert beside_module("json") == []
    assert beside_module("torch.nn") == []
    assert beside_module("builtins") == []


@pytest.mark.slow
def test_a_run_beside_a_space_file_keeps_nothing_for_new_runs(project: Path) -> None:
    """A run in the folder of its space file does not stand between that and later runs."""
    arguments = ("run", "travels.yaml", "--executor", "serial", "--trials")
    passed(away(project, *arguments, 2, "--out", "."))
    (project / "offset.py").write_text("BY = 1000\n")
    result = passed(away(project, *arguments, 2, "--out", "new"))
    assert "changed" not in result.stderr
    assert all(trial["metrics"]["error"]["value"] >= 1000 for trial in trial_lines(project / "new"))
    result = passed(away(project, *arguments, 3, "--out", ".", "--resume"))
    assert "offset.py has changed" in result.stderr
    last = trial_lines(project)[2]
    assert last["metrics"]["error"]["value"] == (last["architecture"]["x"] - 3) ** 2 + 1
