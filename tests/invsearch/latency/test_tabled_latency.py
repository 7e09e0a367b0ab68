"""The latency table of a run: measured once, kept through kills, refused elsewhere, believed."""

from __future__ import annotations

import io
import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import optuna
import pytest
from rich.console import Console
from toy import command, invsearch, passed, trial_lines

from invsearch.errors import InputError
from invsearch.latency import tabled
from invsearch.latency.parts import network_parts
from invsearch.latency.table import CalibrationNetwork, LatencyTable
from invsearch.latency.tabled import conditions
from invsearch.latency.target import Target
from invsearch.metrics import Metric
from invsearch.problem.network import NetworkProblem
from invsearch.report.plot.latency import latency_figure
from invsearch.runs import RunFolder, load_run
from invsearch.search.run import RunOptions, run_search
from invsearch.search.strategies.cost_aware import COST_AWARE
from invsearch.space import SpaceFile, load_space_file

SPACE = """\
name: t
objectives: {{macs: minimize, latency_ms: minimize}}
constraints: {{latency_ms: {{max: {bound}}}}}
model: {{family: rednet, depth: custom, resolution: 16, num_classes: 10, width: 0.125}}
space:
  group_channels: 8
  kernel_size: {{choice: [{kernels}]}}
  stage: {{blocks: {blocks}}}
latency: {{table: true}}
"""
SIZE = (16, 16)


def space(folder: Path, kernels: str = "3, 5, 7", blocks: str = "1", bound: float = 1e6) -> Path:
    path = folder / "t.yaml"
    path.write_text(SPACE.format(kernels=kernels, blocks=blocks, bound=bound))
    return path


def made_up(problem: NetworkProblem) -> LatencyTable:
    """A complete table, as if measured here: every block takes a millisecond, every network too."""
    settings = problem.file.latency
    assert settings is not None
    target = Target.of(settings, undisturbed=False)
    table = LatencyTable(conditions(target, (1, *SIZE)), "here")
    rng = random.Random(0)
    drawn = [problem.space.sample(rng) for _ in range(300)]
    for architecture in drawn:
        for part in network_parts(problem.spec(architecture), *SIZE):
            table.entries[part.name] = Metric("latency_ms", 1.0, "measured", 0.9, 1.1)
    for architecture in problem.space.enumerate() if problem.space.size() < 9 else drawn[:8]:
        total = table.sum_ms(problem.spec(architecture))
        took = Metric("latency_ms", 1.0 + total, "measured", total, 2.0 + total)
        table.calibrate([CalibrationNetwork(architecture.to_json(), total, took)])
    return table


def prepared(space_file: SpaceFile, folder: RunFolder, table: LatencyTable) -> NetworkProblem:
    folder.path.mkdir(exist_ok=True)
    folder.latency_table_path.write_text(json.dumps(table.to_json()))
    problem = NetworkProblem(space_file)
    problem.prepare(folder, lambda text: None)
    return problem


def test_a_run_predicts_measures_and_compares(tmp_path: Path) -> None:
    """End to end in this process: blocks once, every trial measured, its prediction beside it."""
    said = io.StringIO()
    space_file = load_space_file(space(tmp_path))
    options = RunOptions(out=tmp_path / "run", executor="serial")
    folder = run_search(space_file, options, Console(file=said, width=200))
    assert "latency table: 14 distinct blocks to measure on cpu" in said.getvalue()
    run = load_run(folder.path)
    assert len(run.trials) == 3
    for trial in run.trials:
        latency = trial.metrics["latency_ms"]
        told = latency.detail["predicted"]
        assert latency.source == "measured"
        assert 0 < told["low"] <= told["value"] <= told["high"]
    figure = latency_figure(run, 0)
    assert figure is not None
    assert "off by" in figure.caption
    assert "rank correlation is" in figure.caption
    before = folder.latency_table_path.read_bytes()
    again = io.StringIO()
    run_search(space_file, RunOptions(out=folder.path, resume=True), Console(file=again))
    assert folder.latency_table_path.read_bytes() == before
    assert "to measure" not in again.getvalue()


def test_where_others_took_the_time_the_fastest_of_three_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tabled, "_AGAIN", 2)

    def part(value: float, *flags: str) -> Metric:
        return Metric("latency_ms", value, "measured", detail={"flags": flags})

    starved = "starved: 40 %"
    measured = iter([[part(3, starved), part(5)], [part(4, starved), part(2)], [part(9), part(9)]])
    kept = tabled._undisturbed(lambda: next(measured))
    assert [one.value for one in kept] == [3, 2]
    assert next(measured, None) is None
    assert tabled._undisturbed(lambda: [part(7)])[0].value == 7  # undisturbed: once


def test_killed_while_it_measures_it_goes_on_where_it_was(tmp_path: Path) -> None:
    """After kill -9 the file is whole; what it holds is kept, and the rest is measured."""
    path = space(tmp_path, kernels="3, 5")
    arguments = ("run", path, "--executor", "serial", "--out", tmp_path / "run")
    file = tmp_path / "run" / "latency_table.json"
    process = subprocess.Popen(
        command(*arguments), cwd=tmp_path, stderr=subprocess.PIPE, start_new_session=True
    )
    deadline = time.monotonic() + 120
    while not file.exists():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline, "no table was written"
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    killed = json.loads(file.read_text())
    assert killed["entries"]
    assert len(killed["networks"]) < 2
    said = passed(invsearch(tmp_path, *arguments, "--resume")).stderr
    assert "blocks to measure" not in said
    whole = json.loads(file.read_text())
    assert whole["entries"] == killed["entries"]
    assert len(whole["networks"]) == 2
    assert [trial["state"] for trial in trial_lines(tmp_path / "run")] == ["complete"] * 2


def test_a_torn_file_is_measured_anew(tmp_path: Path) -> None:
    """Damage that no kill leaves behind is named, and costs the measurements alone."""
    space_file = load_space_file(space(tmp_path, kernels="3"))
    folder = RunFolder(tmp_path)
    folder.latency_table_path.write_text('{"kind": "latency_table", "sche')
    said: list[str] = []
    NetworkProblem(space_file).prepare(folder, said.append)
    assert "measured anew" in said[0]
    table = LatencyTable.from_json(json.loads(folder.latency_table_path.read_text()))
    assert len(table.entries) == 6
    assert len(table.networks) == 1


@pytest.mark.parametrize(
    ("key", "value"), [("cpu_model", "another"), ("threads", 7), ("native", "other kernels")]
)
def test_a_table_of_other_conditions_is_refused(tmp_path: Path, key: str, value: object) -> None:
    space_file = load_space_file(space(tmp_path))
    table = made_up(NetworkProblem(space_file))
    table.conditions = {**table.conditions, key: value}
    with pytest.raises(InputError, match=rf"other conditions \({key} {value!r}, here ") as caught:
        prepared(space_file, RunFolder(tmp_path / "run"), table)
    assert "\n" not in str(caught.value)


def test_a_table_that_does_not_say_which_kernels_it_is_of_is_taken(tmp_path: Path) -> None:
    """As it was before tables did."""
    space_file = load_space_file(space(tmp_path))
    table = made_up(NetworkProblem(space_file))
    table.conditions = {k: v for k, v in table.conditions.items() if k != "native"}
    assert prepared(space_file, RunFolder(tmp_path / "run"), table)


def test_what_surely_breaks_the_bound_is_never_proposed(tmp_path: Path) -> None:
    """And what keeps it, or may keep it, is: a prediction is a known cost of every candidate."""
    space_file = load_space_file(space(tmp_path, blocks="{range: [1, 2]}", bound=9.5))
    problem = prepared(space_file, RunFolder(tmp_path / "run"), made_up(NetworkProblem(space_file)))
    everyone = list(problem.space.enumerate())
    predicted = {a.key: problem.known(a)["latency_ms"] for a in everyone}
    allowed = {key for key, metric in predicted.items() if metric.low <= 9.5}
    assert {metric.source for metric in predicted.values()} == {"predicted"}
    assert 0 < len(allowed) < len(everyone)
    study = optuna.create_study(directions=["minimize", "minimize"])
    proposed = COST_AWARE.samplers(problem)(0).propose(study, len(everyone))
    assert {problem.space.canonical(one).key for one in proposed} == allowed


def test_a_space_with_too_many_blocks_is_refused_before_anything_is_measured(
    tmp_path: Path,
) -> None:
    kernels = ", ".join(map(str, range(3, 1203, 2)))
    space_file = load_space_file(space(tmp_path, kernels=kernels))
    with pytest.raises(InputError, match="more than 2,000 distinct blocks"):
        NetworkProblem(space_file).prepare(RunFolder(tmp_path), lambda text: None)


def test_turning_the_table_on_does_not_make_it_another_space(tmp_path: Path) -> None:
    """Trials stay comparable: an earlier run can be resumed with a table."""
    path = str(space(tmp_path))
    without = load_space_file(path, ["latency.table=false"])
    assert load_space_file(path).identity() == without.identity()
