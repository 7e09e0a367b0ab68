"""Targets: several devices and ways to run in one search, each number of its own and no other."""

from __future__ import annotations

import io
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from rich.console import Console

from invsearch.errors import InputError, TrialError
from invsearch.latency import lane
from invsearch.latency.carried import read_table
from invsearch.latency.measured import ask
from invsearch.latency.parts import network_parts
from invsearch.latency.place import places
from invsearch.latency.space_parts import companies, distinct_parts
from invsearch.latency.table import CalibrationNetwork, LatencyTable
from invsearch.latency.target import Target
from invsearch.metrics import Metric, metric_info
from invsearch.models import network_spec, proxy_spec
from invsearch.problem.network import NetworkProblem
from invsearch.runs import RunFolder, load_run
from invsearch.search.run import RunOptions, run_search
from invsearch.search.strategies.cost_aware import COST_AWARE
from invsearch.space import load_space_file
from invsearch.takeaway.device_table import compare_tables, measure_table

PROXY: dict[str, Any] = {"width": 0.125, "num_classes": 10, "in_channels": 3}

SPACE = """\
name: t
objectives: {{{objectives}}}
constraints: {{{constraints}}}
model: {{family: rednet, depth: custom, resolution: 16, num_classes: 10, width: 0.125}}
space:
  group_channels: 8
  kernel_size: {{choice: [{kernels}]}}
  stage: {{blocks: 1}}
latency: {{targets: {{{targets}}}}}
"""


def space(
    folder: Path,
    targets: str,
    objectives: str = "latency_ms@a: minimize, macs: minimize",
    constraints: str = "",
    kernels: str = "3, 5",
) -> Path:
    path = folder / "t.yaml"
    path.write_text(
        SPACE.format(
            targets=targets, objectives=objectives, constraints=constraints, kernels=kernels
        )
    )
    return path


def made_up(problem: NetworkProblem, slow: str = "kernel_size=7, reduction") -> LatencyTable:
    """A table as another machine would have measured it: blocks named ``slow`` take a second."""
    (place,) = places(problem.setting)
    images = place.images(problem.setting.resolution)
    elsewhere = {"cpu_model": "a machine far away", "torch": "another"}
    table = LatencyTable({**place.target.conditions(images[0], images[1:]), **elsewhere}, "there")
    for name in distinct_parts(problem.space, problem.spec, images[1:]):
        value = 1000.0 if slow in name else 1.0
        table.entries[name] = Metric("latency_ms", value, "measured", 0.9 * value, 1.1 * value)
    for architecture in problem.space.enumerate():
        total = table.sum_ms(problem.spec(architecture))
        took = Metric("latency_ms", total, "measured", total, total)
        table.calibrate([CalibrationNetwork(architecture.to_json(), total, took)])
    return table


def carried(folder: Path, **settings: str) -> tuple[Path, Path]:
    """A space whose target reads a table's file, and that file."""
    path = space(folder, "a: {device: cuda, batch_size: 8, dtype: fp16, table: a.json}", **settings)
    table = made_up(NetworkProblem(load_space_file(path)))
    file = folder / "a.json"
    file.write_text(json.dumps(table.to_json()))
    return path, file


def quiet() -> Console:
    return Console(file=io.StringIO(), width=200)


def run(path: Path, out: Path, **options: Any) -> RunFolder:
    return run_search(
        load_space_file(path), RunOptions(out=out, executor="serial", **options), quiet()
    )


def test_a_targets_metric_is_known_by_its_own_name() -> None:
    info, plain = metric_info("latency_ms@a100"), metric_info("latency_ms")
    assert info is not None
    assert plain is not None
    assert (info.direction, info.kind, info.unit) == (plain.direction, "measured", "ms")
    assert info.label == "latency (ms) on a100"
    memory = metric_info("peak_memory_bytes@a100")
    assert memory is not None
    assert memory.kind == "measured"  # counted where no target is named
    assert metric_info("macs@a100") is None


@pytest.mark.parametrize(
    ("targets", "objectives", "reason"),
    [
        (
            "a100: {}",
            "latency_ms@a10: minimize",
            "no 'a10' (did you mean 'a100'?",
        ),
        ("a: {}", "latency_ms@a: minimize, macs@a: minimize", "nothing evaluates it"),
        ("a: {}, b: {}", "latency_ms@a: minimize", "latency.targets.b has no effect"),
        ("a: {table: true}", "energy_mj@a: minimize", "latency.targets.a.table has no effect"),
        ("a: {runtime: onnxruntim}", "latency_ms@a: minimize", "allowed: torch, frozen, compiled"),
        ("a: {compile: 1}", "latency_ms@a: minimize", "compile must be true or false"),
        (
            "a: {compile: true, runtime: torch}",
            "latency_ms@a: minimize",
            "compile and runtime say the same",
        ),
        ("a@b: {}", "latency_ms@a: minimize", "must be letters, digits"),
        ("a: {dtype: fp8}", "latency_ms@a: minimize", "dtype"),
    ],
)
def test_a_mistake_is_one_line(tmp_path: Path, targets: str, objectives: str, reason: str) -> None:
    with pytest.raises(InputError) as caught:
        load_space_file(space(tmp_path, targets, objectives))
    message = str(caught.value)
    assert reason in message
    assert "t.yaml:" in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("target", "objective", "reason"),
    [
        ("device: cpu, runtime: cuda_graph", "latency_ms@a", "runs on cuda, not on cpu"),
        ("device: cpu", "energy_mj@a", "a CPU has no energy meter"),
        ("device: cpu, compile: true, table: true", "latency_ms@a", "cannot time blocks alone"),
    ],
)
def test_what_cannot_be_timed_is_refused_before_anything_is_spent(
    tmp_path: Path, target: str, objective: str, reason: str
) -> None:
    path = space(tmp_path, f"a: {{{target}}}", f"{objective}: minimize")
    with pytest.raises(InputError, match=rf"latency\.targets\.a: .*{reason}"):
        NetworkProblem(load_space_file(path)).check()


def test_two_targets_are_two_measurements_each_with_its_settings(tmp_path: Path) -> None:
    """End to end: objective on one, constraint on the other, memory beside, a table for one."""
    path = space(
        tmp_path,
        "a: {undisturbed: false, table: true, batch_size: 2},"
        " b: {undisturbed: false, threads: 2, dtype: bf16}",
        constraints="latency_ms@b: {max: 60k}, peak_memory_bytes@a: {max: 4G}",
        kernels="3",
    )
    folder = run(path, tmp_path / "run")
    (trial,) = load_run(folder.path).trials
    a, b = trial.metrics["latency_ms@a"], trial.metrics["latency_ms@b"]
    assert (a.source, b.source) == ("measured", "measured")
    assert [a.detail["shape"][0], a.detail["threads"], a.detail["dtype"]] == [2, 1, "fp32"]
    assert [b.detail["shape"][0], b.detail["threads"], b.detail["dtype"]] == [1, 2, "bf16"]
    assert a.detail["predicted"]["value"] > 0
    assert a.detail["began"] < a.detail["ended"] <= b.detail["began"] < b.detail["ended"]
    assert "latency_ms" not in trial.metrics
    weights = 4 * trial.metrics["params"].value
    assert weights < trial.metrics["peak_memory_bytes@a"].value < 1e9
    assert (folder.path / "latency_table@a.json").exists()
    assert "latency_ms@a_low" in (folder.path / "front.csv").read_text()


def test_compiled_is_a_runtime_of_its_own() -> None:
    spec = proxy_spec(network_spec({"family": "resnet", "depth": 26}, {}), **PROXY)
    figures = ask(spec, (1, 3, 16, 16), Target(runtime="compiled"))
    assert figures["detail"]["runtime"] == "compiled"
    assert figures["median_ms"] > 0


def test_a_table_of_another_device_guides_a_search_here(tmp_path: Path) -> None:
    """No such GPU here: latency is predicted, and says so; what is slow is never tried."""
    path, file = carried(tmp_path, constraints="latency_ms@a: {max: 100}", kernels="3, 5, 7")
    folder = run(path, tmp_path / "run")
    trials = load_run(folder.path).trials
    assert {trial.architecture["kernel_size"] for trial in trials} == {3, 5}
    assert {trial.metrics["latency_ms@a"].source for trial in trials} == {"predicted"}
    assert [trial.state for trial in trials] == ["complete", "complete"]
    file.unlink()  # the run's folder holds what it refers to
    again = run(path, tmp_path / "run", resume=True)
    assert len(load_run(again.path).trials) == 2


def test_a_planted_slow_architecture_is_not_feasible_even_where_it_is_evaluated(
    tmp_path: Path,
) -> None:
    path, _ = carried(tmp_path, constraints="latency_ms@a: {max: 100}", kernels="3, 5, 7")
    problem = NetworkProblem(load_space_file(path))
    problem.prepare(RunFolder(tmp_path), lambda text: None)
    excess = {
        int(str(one["kernel_size"])): problem.violations(problem.known(one))["latency_ms@a"]
        for one in problem.space.enumerate()
    }
    assert excess[3] <= 0
    assert excess[5] <= 0
    assert excess[7] > 0
    study = optuna.create_study(directions=["minimize", "minimize"])
    proposed = COST_AWARE.samplers(problem)(0).propose(study, 3)
    assert {one["kernel_size"] for one in proposed} == {3, 5}


def damaged(file: Path) -> Iterator[tuple[Any, str]]:
    data = json.loads(file.read_text())
    yield "no JSON at all {", "is no JSON"
    yield {**data, "schema": 0}, "is no latency table of version"
    yield {**data, "conditions": {**data["conditions"], "batch_size": 9}}, "batch_size 9, here 8"
    yield {**data, "conditions": {**data["conditions"], "dtype": "fp32"}}, "dtype 'fp32', here"
    some = dict(list(data["entries"].items())[2:])
    yield {**data, "entries": some}, "lacks 2 of the"
    yield {**data, "entries": {}}, "measure --table SPACE -o FILE"


def test_stale_foreign_and_incomplete_tables_are_refused_with_the_reason(tmp_path: Path) -> None:
    path, file = carried(tmp_path)
    for content, reason in damaged(file):
        file.write_text(content if isinstance(content, str) else json.dumps(content))
        with pytest.raises(InputError, match="a.json") as caught:
            run(path, tmp_path / "run")
        assert reason in str(caught.value)
        assert "\n" not in str(caught.value)
    file.unlink()
    with pytest.raises(InputError, match=r"a\.json: No such file"):
        run(path, tmp_path / "run")


def test_a_table_measured_here_is_read_there(tmp_path: Path) -> None:
    """Measured on the device, half of it lost, gone on with, compared, and used by a search."""
    path = space(tmp_path, "a: {undisturbed: false, table: a.json}", kernels="3")
    heard: list[tuple[int, int]] = []
    output = tmp_path / "a.json"
    table = measure_table(
        load_space_file(path), output, advance=lambda done, of: heard.append((done, of))
    )
    assert heard[-1] == (7, 7)  # six blocks and the only network
    assert len(table.entries) == 6
    half = read_table(output)
    kept = dict(list(half.entries.items())[:3])
    output.write_text(json.dumps({**half.to_json(), "entries": {}}))
    broken = read_table(output)
    broken.entries.update(kept)
    output.write_text(json.dumps(broken.to_json()))
    whole = measure_table(load_space_file(path), output)
    assert {name: whole.entries[name].value for name in kept} == {
        name: one.value for name, one in kept.items()
    }
    pair = compare_tables(table, whole)
    assert pair.shared == 6
    assert pair.ratio is not None
    assert pair.ratio > 0
    (trial,) = run(path, tmp_path / "run").logged()
    assert trial.metrics["latency_ms@a"].source == "predicted"


def figures(median_ms: float, *flags: str) -> dict[str, Any]:
    return {"median_ms": median_ms, "detail": {"flags": list(flags)}}


def test_a_rejected_measurement_never_becomes_a_number() -> None:
    waits: list[float] = []
    replies = iter([figures(9, "starved: 40 %"), figures(8, "clock: fell"), figures(2.0)])
    accepted = lane.undisturbed(lambda: next(replies), "cpu", wait=waits.append)
    assert accepted["median_ms"] == 2.0
    assert [one["median_ms"] for one in accepted["detail"]["rejected"]] == [9, 8]
    assert waits == [1.0, 2.0]
    with pytest.raises(TrialError, match=r"6 measurements in a row were disturbed \(starved"):
        lane.undisturbed(lambda: figures(9, "starved: 40 %"), "cpu", wait=waits.append)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs Linux's affinity")
def test_with_a_busy_loop_on_the_same_core_samples_are_rejected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A real loop on the one core that the measurement may use."""
    spec = proxy_spec(network_spec({"family": "rednet", "depth": 26}, {}), **PROXY)
    monkeypatch.setattr(lane, "ATTEMPTS", 2)
    monkeypatch.setattr(lane, "_FIRST_WAIT_S", 0.0)
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})  # the children inherit it
    loop = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        with pytest.raises(TrialError, match="2 measurements in a row were disturbed"):
            ask(spec, (1, 3, 16, 16), Target(undisturbed=True))
    finally:
        loop.kill()
        loop.wait()
        os.sched_setaffinity(0, before)


def test_parts_of_a_former_versions_table_keep_their_conditions() -> None:
    """A table without dtype and runtime was measured in fp32 by torch."""
    table = LatencyTable({"device": "cpu"})
    assert (table.under["dtype"], table.under["runtime"]) == ("fp32", "torch")


def test_distinct_parts_are_those_of_every_network(tmp_path: Path) -> None:
    path = space(tmp_path, "a: {}")
    problem = NetworkProblem(load_space_file(path))
    found = distinct_parts(problem.space, problem.spec, (16, 16))
    walked = {
        part.name
        for one in problem.space.enumerate()
        for part in network_parts(problem.spec(one), 16, 16)
    }
    assert set(found) == walked


def test_companies_are_few_networks_that_have_every_part() -> None:
    """On random networks: every part is there, in no more of them than the greedy cover."""
    rng = random.Random(0)
    networks = [tuple(str(rng.randrange(60)) for _ in range(8)) for _ in range(500)]
    wanted = {name for names in networks for name in names} - {"7"}
    taken = companies(networks, wanted)
    assert wanted <= {name for names in taken for name in names}
    left, plain = set(wanted), 0
    while left:
        left -= set(max(networks, key=lambda names: len(left & set(names))))
        plain += 1
    assert len(taken) <= plain + 2
    assert companies(networks, []) == []
