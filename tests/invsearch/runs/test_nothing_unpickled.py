"""Nothing in a results folder is unpickled, and nothing in it is run by looking at it."""

from __future__ import annotations

import ast
import os
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest
from toy import invsearch, passed, write_space

import invsearch as suite

ROOT = Path(__file__).parents[3]
LOADERS = {"load", "loads", "Unpickler", "read_pickle", "open"}
FROM_THE_DRIVER = {"invsearch/search/executors/ray/node.py"}
"""What reads a pickle that the driver sent over Ray's own channel, and nothing from a folder."""

PICKLES = {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal", "_pickle"}


def calls(package: str) -> Iterator[tuple[Path, ast.Call]]:
    for path in sorted((ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                yield path, node


def test_no_code_of_ours_unpickles() -> None:
    """By every way in: pickle and its kin, torch.load, numpy.load, pandas.read_pickle."""
    found = []
    for path, call in calls("invsearch"):
        function = ast.unparse(call.func)
        module, _, name = function.rpartition(".")
        options = {one.arg: ast.unparse(one.value) for one in call.keywords}
        unsafe = (
            (module in PICKLES and name in LOADERS)
            or name == "read_pickle"
            or (function == "torch.load" and options.get("weights_only") != "True")
            or options.get("allow_pickle") == "True"
        )
        if unsafe and str(path.relative_to(ROOT)) not in FROM_THE_DRIVER:
            found.append(f"{path.relative_to(ROOT)}:{call.lineno}: {function}")
    assert not found


class Trap:
    """What a stranger's file does when it is unpickled."""

    def __init__(self, sprung: Path) -> None:
        self._sprung = sprung

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self._sprung),)


@pytest.mark.parametrize(
    "name",
    ["space.yaml", "environment.json", "study.journal", "trials.jsonl", "replicates.jsonl",
     "front.csv", "latency_table.json", "sources/sources.json", "checkpoints/2/checkpoint.pt",
     "checkpoints/2/state.pkl"],
)  # fmt: skip
def test_a_trap_in_any_file_is_not_sprung(tmp_path: Path, name: str) -> None:
    space = write_space(tmp_path)
    run = ("run", space, "--executor", "serial", "--out", "run", "--trials")
    passed(invsearch(tmp_path, *run, 2))
    sprung = tmp_path / "sprung"
    trap = tmp_path / "run" / name
    trap.parent.mkdir(parents=True, exist_ok=True)
    trap.write_bytes(pickle.dumps(Trap(sprung)))
    for arguments in ((*run, 4, "--resume"), ("report", "run", "-o", "page.html")):
        result = invsearch(tmp_path, *arguments)
        assert result.returncode in (0, 2), result.stderr
    assert not sprung.exists()


def test_looking_at_a_run_runs_nothing_of_it(tmp_path: Path) -> None:
    """A run from a stranger can be reported: its sources are code, run by a resume alone."""
    space = write_space(tmp_path)
    passed(invsearch(tmp_path, "run", space, "--executor", "serial", "--trials", 2, "--out", "run"))
    for source in (tmp_path / "run" / "sources").glob("*.py"):
        source.write_text("import os\nos.mkdir('sprung')\n")
    (tmp_path / "toy_evaluator.py").unlink()
    passed(invsearch(tmp_path, "report", "run", "-o", "page.html"))
    assert len(suite.load_run(tmp_path / "run").trials) == 2
    assert not (tmp_path / "sprung").exists()
