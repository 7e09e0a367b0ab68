"""``invsearch bench composition``: how far predictions are off, and going on after a kill."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from invsearch.accuracy.told import Line
from invsearch.bench import composition
from invsearch.bench.composition import WAYS, CompositionSettings, measure_composition
from invsearch.bench.composition_errors import Predicted, composition_table, row_of
from invsearch.errors import InputError
from invsearch.latency.space_parts import distinct_parts
from invsearch.latency.table import CalibrationNetwork, LatencyTable
from invsearch.latency.tabled import conditions
from invsearch.latency.target import Target
from invsearch.metrics import Metric
from invsearch.problem.network import NetworkProblem
from invsearch.space import Architecture, load_space_file

SPACE = """\
name: t
objectives: {macs: minimize}
model: {family: rednet, depth: custom, resolution: 16, num_classes: 10, width: 0.125}
space: {group_channels: 8, stage: {blocks: 1, kernel_size: {choice: [3, 5, 7]}}}
"""


def test_errors_are_relative_and_have_intervals() -> None:
    took = [float(n) for n in range(10, 30)]
    row = row_of("x", Predicted([1.1 * one for one in took], took))
    for name in ("median", "p90"):
        assert row[name]["value"] == pytest.approx(0.1)
        assert row[name]["low"] == pytest.approx(row[name]["high"])
    assert row["tau"] == pytest.approx({"value": 1.0, "low": 1.0, "high": 1.0})
    off = [(1.2 if place % 5 == 0 else 1.01) * one for place, one in enumerate(took)]
    row = row_of("x", Predicted(off, took))
    assert row["median"]["value"] == pytest.approx(0.01)
    assert row["p90"]["value"] == pytest.approx(0.2)
    assert row["tau"]["low"] < row["tau"]["value"] < 1


@pytest.fixture
def space(tmp_path: Path) -> Path:
    path = tmp_path / "t.yaml"
    path.write_text(SPACE)
    return path


def write_table(space: Path, out: Path) -> None:
    """As it was measured here before a kill: blocks, and the networks that it is fitted to."""
    problem, images = NetworkProblem(load_space_file(space)), (1, 16, 16)
    table = LatencyTable(conditions(Target(), images), "here")
    for place, name in enumerate(distinct_parts(problem.space, problem.spec, images[1:])):
        value = 1.0 + place % 3
        table.entries[name] = Metric("latency_ms", value, "measured", value, value)
    for architecture in list(problem.space.enumerate())[::10][:8]:
        total = table.sum_ms(problem.spec(architecture))
        took = Metric("latency_ms", 1.1 * total, "measured", total, total)
        table.calibrate([CalibrationNetwork(architecture.to_json(), total, took)])
    out.mkdir()
    (out / "table-torch.json").write_text(json.dumps(table.to_json()))


def test_networks_are_measured_once_each_also_over_a_kill(tmp_path: Path, space: Path) -> None:
    out = tmp_path / "out"
    write_table(space, out)
    file, said = load_space_file(space), list[str]()
    few = CompositionSettings(out, 2, ("torch",), undisturbed=False)
    found = measure_composition(file, few, said.append)
    kept = out / "composition.jsonl"
    before = kept.read_text()
    assert before.count("\n") == 3  # what it is of, and two networks
    (of_torch,) = found["runtimes"].values()
    assert (of_torch["blocks_by"], of_torch["fitted"]) == ("torch", 8)
    assert [row["way"] for row in of_torch["rows"]] == list(WAYS)
    for one in of_torch["networks"]:
        assert one["calibration_ms"] == pytest.approx(1.1 * one["sum_ms"])
        assert one["measured_ms"] > 0
    kept.write_text(before[:-40])  # torn by a kill
    again = measure_composition(file, few, said.append)
    assert kept.read_text().splitlines()[:2] == before.splitlines()[:2]
    assert kept.read_text().count("\n") == 3
    first, second = (one["runtimes"]["torch"]["networks"] for one in (found, again))
    assert first[0] == second[0]
    assert first[1]["architecture"] == second[1]["architecture"]
    json.dumps(again)
    assert composition_table(again).row_count == 3


def test_what_cannot_be_timed_in_blocks_is_predicted_from_what_stands_for_it(
    tmp_path: Path, space: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The blocks' networks are measured so too, and fitted; here both are known already."""
    monkeypatch.setattr(composition, "_STANDS_FOR", {"compiled": "torch"})
    out = tmp_path / "out"
    write_table(space, out)
    file = load_space_file(space)
    problem = NetworkProblem(file)
    bench = composition._Bench(problem, CompositionSettings(out, 3), lambda line: None)
    table = bench._table("torch")
    for one in problem.space.enumerate():
        took = 0.8 * table.sum_ms(problem.spec(one))
        bench._lines.add(Line(one.key, "compiled", 0, {"median_ms": took}, 0.0))
    settings = CompositionSettings(out, 3, ("compiled",))
    found = measure_composition(file, settings)["runtimes"]["compiled"]
    assert found["blocks_by"] == "torch"
    assert len(found["networks"]) == 3
    fitted = {one.key for one in list(problem.space.enumerate())[::10][:8]}
    for one in found["networks"]:
        assert Architecture(tuple(one["architecture"].items())).key not in fitted
        assert one["calibration_ms"] == pytest.approx(one["measured_ms"])
        assert one["measured_ms"] == pytest.approx(0.8 * one["sum_ms"])


def test_another_space_does_not_go_on_in_the_folder(tmp_path: Path, space: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "composition.jsonl").write_text(json.dumps({"space": "another"}) + "\n")
    with pytest.raises(InputError, match="is of another space: name another folder with --out"):
        measure_composition(load_space_file(space), CompositionSettings(out))
    with pytest.raises(InputError, match="only a space of networks"):
        measure_composition(load_space_file("nas-bench-macro"), CompositionSettings(out))
