"""Under ``--json`` standard output holds JSON and nothing else, whatever somebody's code prints."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from toy import command

NOISY = """
import os, subprocess, sys

print("imported")

def evaluate(values):
    print("printed")
    sys.stdout.write("written")
    sys.__stdout__.write("past the replacement")
    sys.__stdout__.flush()
    os.write(1, b"by descriptor\\n")
    subprocess.run([sys.executable, "-c", "print('by a child')"], check=True)
    os.system("echo by the shell")
    return {"x": values["a"]}

def costs(values):
    print("costs")
    return {}
"""
SPACE = """\
name: noisy
objectives: {x: minimize}
params: {a: {choice: [1, 2, 3]}}
evaluator: noisy:evaluate
costs: noisy:costs
search: {trials: 3, strategy: random}
"""
NOISES = (
    "imported", "printed", "written", "past the replacement", "by descriptor", "by a child",
    "by the shell", "costs",
)  # fmt: skip


def noisy(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "noisy.py").write_text(NOISY)
    (folder / "noisy.yaml").write_text(SPACE)
    return subprocess.run(
        command(*arguments),
        cwd=folder,
        env={**os.environ},
        capture_output=True,
        text=True,
        check=True,
    )


def test_a_search_prints_its_outcome_alone(tmp_path: Path) -> None:
    done = noisy(tmp_path, "run", "noisy.yaml", "--executor", "serial", "--json")
    outcome = json.loads(done.stdout)
    assert outcome["trials"] == {"complete": 3}
    assert [member["metrics"]["x"]["value"] for member in outcome["front"]] == [1]
    for noise in NOISES:
        assert noise in done.stderr, noise


def test_a_dry_run_too(tmp_path: Path) -> None:
    done = noisy(tmp_path, "explain", "noisy.yaml", "--json")
    assert json.loads(done.stdout)["size"] == 3
    assert "costs" in done.stderr
