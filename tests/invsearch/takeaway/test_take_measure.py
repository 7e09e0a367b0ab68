"""`invsearch measure`: the value, its interval, and when it goes into the run."""

from __future__ import annotations

from pathlib import Path

from toy import invsearch, one_line, passed

import ops
from invsearch.metrics import Metric
from invsearch.runs import RunFolder, Trial, describe, load_run
from invsearch.space import Architecture, Latency
from invsearch.takeaway import pick
from invsearch.takeaway.remeasure import remeasure, why_not_recorded

SPACE = """
name: timed
objectives: {latency_ms: minimize, macs: minimize}
model: {family: rednet, resolution: 32}
space: {width: {choice: [0.25, 0.5]}, stage: {blocks: 1, operator: convolution}}
"""


def made(folder: Path) -> RunFolder:
    """A run with a trial whose latency was measured on this machine, and one that failed."""
    run = RunFolder(folder / "results" / "timed")
    run.create(SPACE, environment=describe())
    latency = Metric(
        "latency_ms", 100.0, "measured", 90.0, 110.0,
        detail={"environment": ops.environment(), "memory": "kept"},
    )  # fmt: skip
    metrics = {"latency_ms": latency, "macs": Metric("macs", 1e6, "counted")}
    small, large = (Architecture((("width", width),)) for width in (0.25, 0.5))
    run.append_trials([Trial(0, "complete", small, metrics)])
    run.append_trials([Trial(1, "failed", large, error="out of memory")])
    return run


def test_measurement_with_the_runs_settings_joins_the_trials_mean(tmp_path: Path) -> None:
    run = made(tmp_path)
    before = run.trials_path.read_bytes()
    printed = passed(invsearch(tmp_path, "measure", "timed", 0)).stdout
    assert "measured" in printed
    assert "added to the run: the mean of 2" in printed
    latency = load_run(run.path).trials[0].metrics["latency_ms"]
    assert latency.n == 2
    assert latency.value < 100
    assert run.trials_path.read_bytes() == before
    assert f"{latency.value}" in run.front_path.read_text()


def test_only_what_is_comparable_is_recorded(tmp_path: Path) -> None:
    made(tmp_path)
    timed = tmp_path / "results" / "timed"
    own = Latency()
    assert why_not_recorded(pick(timed, 0), own) == ""
    assert "settings" in why_not_recorded(pick(timed, 0), own.model_copy(update={"threads": 2}))
    assert "failed" in why_not_recorded(pick(timed, 1), own)
    text = (timed / "space.yaml").read_text().replace("latency_ms: minimize, ", "")
    (timed / "space.yaml").write_text(text)
    assert "neither an objective" in why_not_recorded(pick(timed, 0), own)


def test_a_former_versions_measurement_is_of_another_kind_of_process(tmp_path: Path) -> None:
    """It gave its memory back between passes, which took time, and does not say so."""
    run = made(tmp_path)
    run.trials_path.write_text(run.trials_path.read_text().replace('"memory": "kept"', '"x": 1'))
    found = remeasure(pick(run.path, 0))
    assert found.recorded is None
    assert "gave its memory back" in found.reason
    assert not run.replicates_path.exists()


def test_device_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    made(tmp_path)
    one_line(invsearch(tmp_path, "measure", "timed", 0, "--device", "cuda:77"), "cuda:77")
    one_line(invsearch(tmp_path, "measure", "timed", 7), "nearest is 1")


def test_it_is_measured_as_the_run_measures(tmp_path: Path) -> None:
    """Its type and memory format too: another number would join the trial's mean."""
    made(tmp_path)
    timed = tmp_path / "results" / "timed"
    with (timed / "space.yaml").open("a") as file:
        file.write("latency: {dtype: bf16, memory_format: contiguous}\n")
    detail = remeasure(pick(timed, 0)).latency.detail
    assert (detail["dtype"], detail["memory_format"]) == ("bf16", "contiguous")
