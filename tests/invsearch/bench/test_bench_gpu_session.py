"""A run on a GPU ends in time, and its file is whole at any moment; the GPU itself is a fake."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from gpu_claims import claim_of

import ops
from invsearch.bench import gpu
from invsearch.bench.gpu import cases as gpu_cases
from invsearch.bench.gpu import checks as gpu_checks
from invsearch.bench.gpu.budget import NEEDS, late, needed, sampling_seconds
from invsearch.bench.gpu.rows import ROWS, GpuClaim, GpuFigure
from invsearch.bench.gpu.session import GpuSession
from ops.timing import Interval

CHECKS_SECONDS = 35.0
LONGEST_SAMPLING = 10.0

FAKES = """
import sys, threading, time
import ops
from pathlib import Path
from invsearch.bench import gpu
from invsearch.bench.gpu import budget as gpu_budget
from invsearch.bench.gpu import cases as gpu_cases
from invsearch.bench.gpu import checks as gpu_checks
from invsearch.bench.gpu import session as gpu_session
from invsearch.bench.gpu.rows import GpuFigure
from ops.timing import Interval

def measure_row(row, device, seconds):
    if row.name == "bare/s1/64":
        return GpuFigure(row, Interval(0.9, 0.9, 0.9))
    print("waiting", flush=True)
    forever = threading.Lock()
    forever.acquire(), forever.acquire()

ops.backends = lambda: {"cuda": "available"}
gpu_checks.checks = lambda device: []
gpu_cases.copy_rate = lambda device: {"value": 4000.0}
gpu_cases.measure_row = measure_row
gpu_budget.NEEDS = {kind: gpu_budget.Need(0, 0) for kind in gpu_budget.NEEDS}
gpu_session._CLOSING_SECONDS = 0.0
sys.exit(gpu.main(sys.argv[1:]))
"""

KILLS = """
import json, os, random, signal, sys, time
from pathlib import Path
from invsearch.bench.gpu.rows import ROWS, GpuFigure
from invsearch.bench.gpu.session import GpuSession
from ops.timing import Interval

path, found, saves = Path(sys.argv[1]), Interval(1.0, 0.9, 1.1), set()
session = GpuSession("cuda", path, planned=ROWS)
session.rows = [GpuFigure(row, found, None, {"samples": [0.1] * 200}) for row in ROWS]
partial = session.save()
for turn in range(25):
    child = os.fork()
    if not child:
        for session.budget in range(10**9):
            session.save()
    time.sleep(random.Random(turn).uniform(0.01, 0.15))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    document = json.loads(partial.read_text())
    assert len(document["rows"]) == len(ROWS)
    saves.add(document["budget_seconds"])
assert len(saves) > 2, saves
assert not path.exists()
"""

BLOCKED = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in sys.argv[1:]:
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Blocked())
from invsearch.bench import gpu
from invsearch.bench.gpu import cases as gpu_cases
from invsearch.bench.gpu import checks as gpu_checks
from invsearch.bench.gpu import first_call as gpu_first_call
from invsearch.bench.gpu import works as gpu_works
assert gpu.main(["--plan"]) == 0
"""


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[GpuSession, float], None]:
    """A GPU that is there and right; lets seconds pass in a session."""
    monkeypatch.setattr(ops, "backends", lambda: {"cuda": "available"})
    monkeypatch.setattr(gpu_cases, "copy_rate", lambda device: {"value": 4000.0})
    monkeypatch.setattr(gpu_cases, "broken", lambda device: None)

    def checks(device: str) -> Iterator[gpu_checks.Check]:
        yield gpu_checks.Check("bare", "fine", 1e-4, 4e-3)

    def passing(session: GpuSession, seconds: float) -> None:
        session.began -= seconds

    monkeypatch.setattr(gpu_checks, "checks", checks)
    return passing


def test_every_row_has_its_time_and_none_more_than_there_is() -> None:
    assert set(NEEDS) == {row.kind for row in ROWS}
    assert needed(ROWS) + CHECKS_SECONDS < gpu.SECONDS
    rows = [claim_of("bare/s1/64"), claim_of("network/64")]
    assert sampling_seconds(rows, needed(rows)) == NEEDS["bare"].sampling
    assert sampling_seconds(rows, needed(rows) + 8) == NEEDS["bare"].sampling + 4
    assert sampling_seconds(rows, 0.0) == NEEDS["bare"].sampling


def test_a_row_that_has_no_time_left_says_so() -> None:
    assert late(claim_of("network/64"), 75.0) is None
    assert late(claim_of("network/64"), 5.2) == "it takes about 75 s, and 5 s were left"
    assert late(claim_of("bare/s1/64"), -3.0) == "it takes about 6 s, and 0 s were left"


@pytest.mark.parametrize("before", [CHECKS_SECONDS, 200.0, 400.0, 539.0])
def test_the_whole_fits_the_budget_whatever_came_before(
    before: float,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    clock: Callable[[GpuSession, float], None],
) -> None:
    """Each row takes all that it may; only after slow checks are the last ones left out."""
    session = GpuSession("cuda", tmp_path / "x.json", ROWS, gpu.SECONDS)

    def measure_row(row: GpuClaim, device: str, seconds: float) -> GpuFigure:
        clock(session, NEEDS[row.kind].setup + min(seconds, LONGEST_SAMPLING))
        return GpuFigure(row, Interval(1.0, 1.0, 1.0))

    monkeypatch.setattr(gpu_cases, "measure_row", measure_row)
    clock(session, before)
    gpu.run(session, lambda line: None)
    assert session.seconds <= gpu.SECONDS
    assert session.complete
    assert [one.row for one in session.rows] == list(ROWS)
    missing = [one.row.name for one in session.rows if one.failed]
    assert (missing == []) == (before == CHECKS_SECONDS)
    assert "training/64" in missing or not missing
    assert all("were left" in str(one.reason) for one in session.rows if one.failed)


def test_a_broken_context_is_not_used_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Callable[[GpuSession, float], None]
) -> None:
    """Rows with processes of their own are still measured; the file replaces nothing."""
    asked = []

    def measure_row(row: GpuClaim, device: str, seconds: float) -> GpuFigure:
        asked.append(row.name)
        if row.name == "fused/64":
            return GpuFigure(row, None, "AcceleratorError: illegal address")
        return GpuFigure(row, Interval(1.0, 1.0, 1.0))

    monkeypatch.setattr(gpu_cases, "measure_row", measure_row)
    monkeypatch.setattr(gpu_cases, "broken", lambda device: "AcceleratorError: illegal address")
    session = GpuSession("cuda", tmp_path / "x.json", ROWS, 1e6)
    gpu.run(session, lambda line: None)
    assert asked[-5:] == ["fused/64", "capture", "two", "first/bare", "first/layer"]
    last = session.rows[-1]
    assert last.reason == (
        "since fused/64 this process cannot use the GPU: AcceleratorError: illegal address"
    )
    assert not session.complete
    assert not session.good
    assert session.save() == tmp_path / "x.partial.json"


def test_whatever_a_row_raises_becomes_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(row: GpuClaim, device: str, seconds: float) -> GpuFigure:
        raise ValueError("first line\nsecond line")

    monkeypatch.setitem(gpu_cases.CASES, "fused", fails)
    one = gpu_cases.measure_row(claim_of("fused/64"), "cpu", 1.0)
    assert one.reason == "ValueError: first line"
    assert gpu_cases.broken("cpu") is None
    assert gpu_cases.broken("no such device") is not None


def test_what_was_not_reached_is_in_the_file_and_json_knows_no_nan(tmp_path: Path) -> None:
    session = GpuSession("cuda", tmp_path / "x.json", [claim_of("fused/64"), claim_of("capture")])
    session.rows = [GpuFigure(claim_of("fused/64"), None, "why", {"worst": [float("nan"), 1.0]})]
    text = session.save().read_text()
    document = json.loads(text, parse_constant=lambda name: pytest.fail(name))
    assert document["rows"][0]["details"] == {"worst": [None, 1.0]}
    assert document["rows"][1]["reason"] == "not reached yet"
    assert json.loads(session.stop("the time was up").read_text())["rows"][1]["reason"] == (
        "the time was up"
    )


def test_a_kill_at_any_moment_leaves_a_whole_file(tmp_path: Path) -> None:
    _python(KILLS, str(tmp_path / "x.json"))


def test_sigterm_saves_what_there_is(tmp_path: Path) -> None:
    with _run_that_waits(tmp_path) as process:
        assert process.stdout is not None
        while process.stdout.readline() != "waiting\n":
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=30)[0]
    _require_partial(tmp_path, process, said, "stopped by SIGTERM")


def test_the_end_of_the_budget_saves_what_there_is(tmp_path: Path) -> None:
    with _run_that_waits(tmp_path, "--seconds", "2") as process:
        said = process.communicate(timeout=60)[0]
    _require_partial(tmp_path, process, said, "the time was up")


def test_the_path_of_the_checkout_is_enough() -> None:
    """As docs/cuda.md promises: nothing but torch and NumPy is imported."""
    _python(BLOCKED, "pydantic", "optuna", "ray", "plotly", "typer", "fvcore", "pandas", "yaml")


def _run_that_waits(folder: Path, *options: str) -> subprocess.Popen[str]:
    """A run whose second row never ends."""
    command = [sys.executable, "-c", FAKES, "-o", str(folder / "x.json"), "bare", *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def _require_partial(folder: Path, process: subprocess.Popen[str], said: str, reason: str) -> None:
    assert process.returncode == 1
    assert said.splitlines()[-1].startswith(f"{reason}: written to {folder / 'x.partial.json'}")
    assert [path.name for path in folder.iterdir()] == ["x.partial.json"]
    document = json.loads((folder / "x.partial.json").read_text())
    assert (document["complete"], document["stopped"]) == (False, reason)
    assert [row["value"] for row in document["rows"]] == [0.9, None, None, None]
    assert document["rows"][1]["reason"] == reason


def _python(script: str, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
