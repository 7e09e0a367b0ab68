"""The data and pictures that a report can be besides a page."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pandas as pd
import pytest
from synthetic_runs import Writer

from invsearch.errors import InputError
from invsearch.report import write
from invsearch.report.benchmarks import find_benchmarks
from invsearch.report.plot.picture import write_png


def test_csv_is_the_frame(tmp_path: Path, writer: Writer) -> None:
    """Every trial with values, intervals and sources; several runs are told apart."""
    first, second = writer(6, folder="a"), writer(4, folder="b")
    (path,) = write([first], tmp_path / "one.csv", form="csv")
    table = pd.read_csv(path)
    assert list(table["number"]) == list(range(6))
    assert {"val_loss", "val_loss_low", "val_loss_source", "depth"} <= set(table)
    (path,) = write([first, second], tmp_path / "two.csv", form="csv")
    assert list(pd.read_csv(path)["run"]) == ["a"] * 6 + ["b"] * 4


def test_json_holds_all_of_a_run(tmp_path: Path, writer: Writer) -> None:
    """What was searched, every trial as it is logged, the front with its probabilities."""
    (path,) = write([writer(9)], tmp_path / "run.json", form="json")
    (run,) = json.loads(path.read_text(encoding="utf-8"))["runs"]
    assert run["objectives"] == {"val_loss": "minimize", "macs": "minimize"}
    assert len(run["trials"]) == 9
    assert {member["trial"] for member in run["front"]} <= set(range(9))
    assert all(0 <= member["p_front"] <= 1 for member in run["front"])


def test_the_default_file_is_named_after_the_run_and_the_format(
    tmp_path: Path, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``reports/<run>.csv``."""
    run = writer(3)
    monkeypatch.chdir(tmp_path)
    assert write([run], form="csv") == [Path("reports/run.csv")]


def test_unknown_formats_and_modes_are_one_line(tmp_path: Path, writer: Writer) -> None:
    """They name what there is, and the nearest."""
    run = writer(3)
    with pytest.raises(InputError, match=r"choose from html, csv, json, png \(did you mean 'csv'"):
        write([run], tmp_path / "x", form="cvs")
    with pytest.raises(InputError, match=r"--plotlyjs 'inlin': choose from inline, directory, cdn"):
        write([run], tmp_path / "x", plotlyjs="inlin")
    with pytest.raises(InputError, match="no meaning with --format csv"):
        write([run], tmp_path / "x", form="csv", plotlyjs="cdn")


@pytest.mark.skipif(importlib.util.find_spec("kaleido") is not None, reason="kaleido is installed")
def test_a_picture_without_kaleido_says_what_to_install(tmp_path: Path, writer: Writer) -> None:
    """One line with the command."""
    with pytest.raises(InputError, match=r"pip install 'invsearch\[png\]'"):
        write_png([writer(9)], tmp_path / "x.png", paper=[])


def test_a_picture_of_nothing_is_refused(tmp_path: Path) -> None:
    """A run without a comparable trial has no figure."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "space.yaml").write_text("name: early\nobjectives: {error: minimize}\n")
    with pytest.raises(InputError, match="there is no picture to write"):
        write([tmp_path / "run"], tmp_path / "x.png", form="png")


def test_files_that_are_no_benchmark_are_passed_over(tmp_path: Path) -> None:
    """Other people's JSON, later schemas and broken files do no harm."""
    (tmp_path / "other.json").write_text('{"kind": "front"}')
    (tmp_path / "list.json").write_text("[1]")
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "later.json").write_text('{"kind": "bench", "schema": 99}')
    assert find_benchmarks(tmp_path) == []


def test_a_benchmark_becomes_a_roofline_and_a_table(tmp_path: Path) -> None:
    """A point for each counted candidate under the machine's ceiling, every latency a row."""
    one = {
        "samples": [0.002, 0.0021, 0.0019, 0.002, 0.002, 0.0021, 0.0019], "shape": None,
        "mode": "call", "device": "cpu", "dtype": "float32", "threads": 1, "cache": "warm",
        "warmup_calls": 1, "calls_per_sample": 1, "missed": None, "flags": [], "conditions": {},
        "environment": {},
    }  # fmt: skip
    case = {
        "name": "involution/s1/b1/forward/layer",
        "reference": "torch",
        "measurements": {"torch": one, "other": one},
        "costs": {"torch": {"macs": 10**7, "moved_bytes": 10**6}},
        "skipped": {},
        "facts": {},
    }
    document = {
        "kind": "bench", "schema": 1, "environment": {"cpu_model": "CPU", "torch": "2"},
        "settings": {"device": "cpu", "threads": 1, "cache": "warm"},
        "roofline": {
            "gflops": 100.0, "gbytes_per_s": 20.0, "threads": 1, "device": "cpu",
            "dtype": "float32",
        },
        "cases": [case],
    }  # fmt: skip
    (tmp_path / "bench.json").write_text(json.dumps(document))
    (found,) = find_benchmarks(tmp_path)
    assert [row["candidate"] for row in found.rows] == ["torch", "other"]
    assert found.rows[1]["rate"] == ""
    assert found.roofline is not None
    assert found.roofline.data[0]["x"] == [20.0]
    assert "1 thread, warm cache" in found.machine
