"""The audit: the front's latencies measured in turns at the end; the front is of these."""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from folder_workers import Pool
from rich.console import Console

from invsearch.errors import TrialError
from invsearch.latency.lane import DisturbedError
from invsearch.metrics import Metric
from invsearch.problem.function import FunctionProblem
from invsearch.problem.network import NetworkProblem
from invsearch.report.audit import audit_blocks
from invsearch.report.blocks import Grid
from invsearch.runs import RunFolder, Trial, load_run
from invsearch.search.audit import audit_front, contenders
from invsearch.search.run import RunOptions, run_search
from invsearch.space import load_space_file
from invsearch.space.architecture import Architecture
from invsearch.takeaway.device_table import measure_table

SPACE = """\
name: t
objectives: {loss: minimize, latency_ms: minimize}
constraints: {latency_ms: {max: 10}}
params: {x: {range: [0, 40]}}
evaluator: os:getcwd
"""


class Device(FunctionProblem):
    """Networks whose true times are known, on a device that can be measured on in turns."""

    times: Mapping[int, float]
    asked: list[list[int]]
    fails: Exception | None = None
    holds = 99
    dies_at = 99

    @property
    def audited(self) -> tuple[str, ...]:
        return ("latency_ms",)

    def audit(self, name: str, architectures: Sequence[Architecture]) -> list[Metric]:
        numbers = [int(str(one["x"])) for one in architectures]
        self.asked.append(numbers)
        if len(self.asked) == self.dies_at:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.fails or len(numbers) > self.holds:
            raise self.fails or TrialError("out of memory")
        return [
            Metric(name, self.times[n], "measured", 0.99 * self.times[n], 1.01 * self.times[n])
            for n in numbers
        ]


def device(folder: Path, times: Mapping[int, float]) -> Device:
    path = folder / "space.yaml"
    path.write_text(SPACE)
    problem = Device(load_space_file(path))
    problem.times, problem.asked = times, []
    return problem


def trial(number: int, loss: float, ms: float, source: Any = "measured") -> Trial:
    latency = Metric("latency_ms", ms, source, 0.99 * ms, 1.01 * ms)
    return Trial(
        number,
        "complete",
        Architecture((("x", number),)),
        {"loss": Metric("loss", loss, "evaluated"), "latency_ms": latency},
        {"latency_ms": ms - 10},
    )


def audit(problem: Device, folder: RunFolder) -> list[str]:
    said: list[str] = []
    audit_front(problem, folder, "here", said.append)
    return said


def on_front(problem: Device, folder: RunFolder) -> dict[int, float]:
    members = folder.write_front(folder.trials(), problem.objectives)
    return {m.trial.number: m.trial.metrics["latency_ms"].value for m in members}


def test_the_front_is_of_what_was_measured_in_turns(tmp_path: Path) -> None:
    """What drifted in the search is put right, and who takes a lost place has its turn."""
    folder = RunFolder(tmp_path)
    folder.append_trials(
        [trial(0, 1.0, 4.0), trial(1, 2.0, 3.0), trial(2, 2.1, 3.5), trial(3, 9.0, 9.0)]
    )
    problem = device(tmp_path, {0: 4.1, 1: 3.8, 2: 3.4, 3: 1.0})
    audit(problem, folder)
    assert problem.asked == [[0, 1], [0, 1, 2]]  # 2 takes a place beside 1; 3 never looked like it
    assert on_front(problem, folder) == {0: 4.1, 1: 3.8, 2: 3.4}
    first = folder.trials()[0].metrics["latency_ms"]
    assert first.detail["before"] == {"value": 4.0, "low": 3.96, "high": 4.04, "source": "measured"}
    assert folder.logged()[0].metrics["latency_ms"].value == 4.0  # the trial's line never changes
    assert audit(problem, folder) == []  # nothing is left
    assert len(problem.asked) == 2


def test_a_prediction_becomes_a_measurement_and_a_bound_is_judged_by_it(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.append_trials([trial(0, 1.0, 9.9, "predicted"), trial(1, 2.0, 5.0, "predicted")])
    problem = device(tmp_path, {0: 10.2, 1: 5.1})
    audit(problem, folder)
    assert on_front(problem, folder) == {1: 5.1}
    slow = folder.trials()[0]
    assert slow.constraints["latency_ms"] == pytest.approx(0.2)
    assert slow.metrics["latency_ms"].source == "measured"
    assert slow.metrics["latency_ms"].detail["predicted"]["value"] == 9.9


def test_who_cannot_be_told_from_the_front_is_measured_too(tmp_path: Path) -> None:
    members = [trial(0, 1.0, 4.0)]
    others = [trial(1, 1.0, 4.03), trial(2, 1.0, 4.5), trial(3, 2.0, 4.03)]
    problem = device(tmp_path, {})
    assert [t.number for t in contenders([*members, *others], members, problem)] == [1, 3]


def test_a_killed_audit_goes_on_where_it_was(tmp_path: Path) -> None:
    """What was logged is not measured again, also where it has changed the front already."""
    folder = RunFolder(tmp_path)
    folder.append_trials([trial(n, 1.0 + n, 9.0 - n / 5) for n in range(20)])
    problem = device(tmp_path, {n: 8.0 - n / 5 for n in range(20)})
    audit(problem, folder)
    assert [len(group) for group in problem.asked] == [10, 10]
    lines = folder.audits_path.read_text().splitlines(keepends=True)
    folder.audits_path.write_text("".join(lines[:10]) + lines[10][:40])  # torn by the kill
    problem.asked.clear()
    audit(problem, RunFolder(tmp_path))
    assert [sorted(group) for group in problem.asked] == [list(range(1, 20, 2))]
    assert len(on_front(problem, folder)) == 20


LOGGED = {**{number: 9.0 - number / 5 for number in range(20)}, 20: 7.76}
TRUE = {**{number: 9.05 - number / 5 for number in range(20)}, 7: 8.5, 20: 7.7}
"""Number 7 loses its place, and 20, whose loss is the same, takes it in a second turn."""


def audited_until(folder: Path, dies_at: int) -> None:
    """Audit in this process, and be killed in the midst of a measurement."""
    problem = device(folder, TRUE)
    problem.dies_at = dies_at
    audit(problem, RunFolder(folder))


@pytest.mark.parametrize("dies_at", [2, 4])
def test_sigkill_within_an_audit_and_a_resume_give_the_same_front(
    tmp_path: Path, dies_at: int
) -> None:
    """Within the first turn, and within the next, where a member has lost its place already."""
    fronts = []
    for name, killed in (("whole", False), ("killed", True)):
        folder = RunFolder(tmp_path / name)
        folder.path.mkdir()
        losses = {**{n: 1.0 + n for n in LOGGED}, 20: 8.0}
        folder.append_trials([trial(n, losses[n], ms) for n, ms in LOGGED.items()])
        if killed:
            context = multiprocessing.get_context("spawn")
            process = context.Process(target=audited_until, args=(folder.path, dies_at))
            process.start()
            process.join(60)
            assert process.exitcode == -signal.SIGKILL
            assert 0 < len(folder.audits()) < 40
        problem = device(folder.path, TRUE)
        audit(problem, folder)
        assert len(folder.audits()) == 40  # two turns of 20, none of them twice
        members = folder.write_front(folder.trials(), problem.objectives)
        fronts.append({m.trial.number: asdict(m.trial.metrics["latency_ms"]) for m in members})
    for one in (one for front in fronts for one in front.values()):
        one["detail"].pop("in_turns_with")  # a group is what is left of a turn
    assert fronts[0] == fronts[1]
    assert set(fronts[0]) == {*range(21)} - {7}


def test_what_does_not_fit_together_is_measured_in_halves(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.append_trials([trial(n, 1.0 + n, 9.0 - n) for n in range(6)])
    problem = device(tmp_path, {n: 9.0 - n for n in range(6)})
    problem.holds = 3
    audit(problem, folder)
    assert [len(group) for group in problem.asked] == [6, 3, 3]
    assert len(folder.audits()) == 6


def test_where_it_was_disturbed_the_trials_figures_stand_and_it_is_said(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.append_trials([trial(0, 1.0, 4.0), trial(1, 2.0, 3.0)])
    problem = device(tmp_path, {})
    problem.fails = DisturbedError("6 measurements in a row were disturbed")
    said = audit(problem, folder)
    assert "was not measured again: 6 measurements" in said[-1]
    assert on_front(problem, folder) == {0: 4.0, 1: 3.0}
    assert not folder.audits()


NETWORKS = """\
name: t
objectives: {latency_ms@a: minimize, params: maximize}
model: {family: rednet, depth: custom, resolution: 16, num_classes: 10, width: 0.125}
space: {group_channels: 8, kernel_size: {choice: [3, 5]}, stage: {blocks: 1}}
latency: {targets: {a: {table: a.json, undisturbed: false}}}
"""


@pytest.fixture(scope="module")
def tabled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A space file, and beside it the table that it names."""
    path = tmp_path_factory.mktemp("tabled") / "t.yaml"
    path.write_text(NETWORKS)
    measure_table(load_space_file(path), path.with_name("a.json"))
    return path


def brought(tabled: Path, folder: Path) -> Path:
    for file in tabled.parent.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return folder / tabled.name


def test_workers_on_a_shared_folder_leave_a_front_that_is_audited(
    tmp_path: Path, tabled: Path
) -> None:
    path = brought(tabled, tmp_path)
    pool = Pool()
    options = RunOptions(out=tmp_path / "run", executor="folder")
    with pool.at(NetworkProblem(load_space_file(path)), options.out):
        folder = run_search(load_space_file(path), options, Console(file=io.StringIO()))
    pool.close()
    members = load_run(folder.path).members
    assert members
    for member in members:
        assert member.trial.metrics["latency_ms@a"].source == "measured"


def test_a_table_of_this_machine_is_checked_on_whole_networks(tmp_path: Path, tabled: Path) -> None:
    """End to end: searched by a table that was brought along, audited where it was measured."""
    path = brought(tabled, tmp_path)
    said = io.StringIO()
    options = RunOptions(out=tmp_path / "run", executor="serial")
    folder = run_search(load_space_file(path), options, Console(file=said, width=200))
    assert "audit: latency_ms@a of 2 networks" in said.getvalue()
    run = load_run(folder.path)
    spans = set()
    for one in run.trials:
        latency = one.metrics["latency_ms@a"]
        assert latency.source == "measured"
        assert latency.low <= latency.value <= latency.high
        assert latency.detail["before"]["source"] == "predicted"
        spans.add((latency.detail["began"], latency.detail["ended"]))
    assert len(spans) == 1  # in turns
    assert "measured" in (folder.path / "front.csv").read_text()
    grid = audit_blocks(run, "latency_ms@a")[0]
    assert isinstance(grid, Grid)
    assert len(grid.rows) == len(run.members)
    elsewhere = json.loads((folder.path / "latency_table@a.json").read_text())
    elsewhere["conditions"]["cpu_model"] = "a machine far away"
    (tmp_path / "a.json").write_text(json.dumps(elsewhere))
    said = io.StringIO()
    options = RunOptions(out=tmp_path / "other", executor="serial")
    run_search(load_space_file(path), options, Console(file=said, width=200))
    assert "another machine (cpu_model 'a machine far away'" in said.getvalue()
    assert not (tmp_path / "other" / "audits.jsonl").exists()
