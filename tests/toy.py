"""A space whose evaluations cost nothing, and the command line in a process of its own."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

EVALUATOR = '''
"""The evaluator of the toy space, with its troubles."""

import math
import os
import signal
import time


def size(values):
    return values["x"] * (2 if values["kind"] == "b" else 1)


def evaluate(values):
    time.sleep(float(os.environ.get("TOY_SECONDS", "0")))
    error = (values["x"] - 3) ** 2 / 10 + (0.5 if values["kind"] == "b" else 1.0)
    return {"error": error, "size": size(values)}


def costs(values):
    return {"size": size(values)}


def error_alone(values):
    return {"error": evaluate(values)["error"]}


def troubled(values):
    if values["x"] == 1:
        raise ValueError("x is one")
    if values["x"] == 2:
        return {"error": math.nan, "size": 2.0}
    if values["x"] == 3:
        raise MemoryError
    if values["x"] == 4:
        return {"error": 1.0}
    return evaluate(values)


def learning(values, context):
    """Six epochs, in which some learn late; it goes on from what it has saved."""
    state = context.folder / "epoch"
    end, late = evaluate({**values})["error"], (values["x"] * 7 % 9) / 2
    for epoch in range(int(state.read_text()) + 1 if state.exists() else 1, 6):
        time.sleep(float(os.environ.get("TOY_SECONDS", "0")))
        stops = context.report(epoch, {"error": end + late / epoch**2, "size": size(values)})
        state.write_text(str(epoch))
        if stops:
            break
    return {"error": end, "size": size(values)}


def murderous(values):
    if values["x"] == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return evaluate(values)
'''

SPACE = """
name: toy
objectives: {error: minimize, size: minimize}
params:
  x: {range: [1, 9], step: 1}
  kind: {choice: [a, b]}
evaluator: toy_evaluator:evaluate
search: {trials: 8, seed: 1}
"""


def write_space(folder: Path, text: str = SPACE, **replaced: str) -> Path:
    """Write the toy space and its evaluator; keyword arguments replace or add one-line keys."""
    (folder / "toy_evaluator.py").write_text(EVALUATOR)
    lines = textwrap.dedent(text).strip().splitlines()
    for key, value in replaced.items():
        lines = [line for line in lines if not line.startswith(f"{key}:")]
        lines.append(f"{key}: {value}")
    path = folder / "toy.yaml"
    path.write_text("\n".join(lines) + "\n")
    return path


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "invsearch", *map(str, arguments)]


def invsearch(
    folder: Path, *arguments: object, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the command line in a folder: here, or with an environment in a process of its own."""
    if not environment:
        return _here(folder, [str(argument) for argument in arguments])
    return subprocess.run(
        command(*arguments),
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def _here(folder: Path, arguments: list[str]) -> subprocess.CompletedProcess[str]:
    """The same, without the seconds that a fresh process takes to import torch."""
    from invsearch.cli import main

    kept = (sys.argv, list(sys.path), Path.cwd())
    output, errors = io.StringIO(), io.StringIO()
    sys.modules.pop("toy_evaluator", None)
    sys.argv = ["invsearch", *arguments]
    os.chdir(folder)
    code: object = 0
    try:
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            main()
    except SystemExit as leave:
        code = leave.code
    finally:
        sys.argv, sys.path[:] = kept[0], kept[1]
        os.chdir(kept[2])
        sys.modules.pop("toy_evaluator", None)
    return subprocess.CompletedProcess(
        arguments, int(str(code or 0)), output.getvalue(), errors.getvalue()
    )


def passed(result: subprocess.CompletedProcess[str]) -> subprocess.CompletedProcess[str]:
    assert result.returncode == 0, result.stderr + result.stdout
    return result


def one_line(result: subprocess.CompletedProcess[str], *words: str, code: int = 2) -> str:
    """The one line on standard error of a refused command, checked for the words."""
    assert result.returncode == code, result.stderr + result.stdout
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    for word in words:
        assert word in lines[0], f"{word!r} is not in {lines[0]!r}"
    return lines[0]


def trial_lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "trials.jsonl").read_text().splitlines()]


def without_times(trials: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What must be equal between two runs of one seed."""
    kept = ("number", "state", "architecture", "metrics", "origin", "seed", "error")
    return [{key: trial[key] for key in kept} for trial in trials]
