"""`make bench-gpu`: what it would measure, what it says without a GPU, and what it writes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from gpu_claims import claim_of

import ops
from invsearch.bench import gpu
from invsearch.bench.gpu import checks as gpu_checks
from invsearch.bench.gpu.first_call import first_call_s
from invsearch.bench.gpu.layers import (
    GROUP_CHANNELS,
    LAYERS,
    backward_of,
    bare_bytes,
    forward_of,
    spans,
)
from invsearch.bench.gpu.rows import BATCHES, ROWS, GpuFigure
from invsearch.bench.gpu.session import GpuSession
from invsearch.bench.shapes import LayerShape
from invsearch.errors import InputError
from invsearch.report.gpu import find_gpu_benchmark
from ops.timing import Interval

WITHOUT_GPU = pytest.mark.skipif(
    ops.backends()["cuda"] == "available", reason="there is a GPU, and it would be measured"
)
REACH = {
    "bare/s1/64": ("fraction", 0.8, 0.9),
    "released/s2/256": ("times", 4, 6),
    "fused/64": ("times", 1.8, 2.5),
    "backward/256": ("times", 1.7, 2),
    "network/64": ("times", 1, 1.4),
    "first/layer": ("s", 2, 1),
    "eager/64": ("times", None, None),
    "training/64": ("times", None, None),
    "capture": ("works", None, None),
    "two": ("works", None, None),
}


def test_the_rows_are_what_must_be_reached() -> None:
    for name, (unit, least, aim) in REACH.items():
        row = claim_of(name)
        assert (row.unit, row.at_least, row.aim) == (unit, least, aim)
    for kind in ("bare", "released", "fused", "backward", "network"):
        assert {row.batch for row in ROWS if row.kind == kind} == set(BATCHES)
    assert len({row.name for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize(
    ("name", "found", "verdict"),
    [
        ("fused/64", (2.6, 2.5, 2.7), "aim"),
        ("fused/64", (2.0, 1.9, 2.6), "at least"),
        ("fused/64", (1.8, 1.7, 1.9), "cannot tell"),
        ("fused/64", (1.7, 1.6, 1.79), "missed"),
        ("first/bare", (0.9, 0.8, 1.0), "aim"),
        ("first/bare", (1.0, 0.9, 1.1), "at least"),
        ("first/bare", (2.0, 1.9, 2.1), "cannot tell"),
        ("first/bare", (2.2, 2.1, 2.3), "missed"),
        ("training/64", (0.5, 0.4, 0.6), "measured"),
        ("capture", (1.0, 1.0, 1.0), "works"),
        ("capture", (0.0, 0.0, 0.0), "fails"),
    ],
)
def test_verdicts_need_the_whole_interval(
    name: str, found: tuple[float, float, float], verdict: str
) -> None:
    assert GpuFigure(claim_of(name), Interval(*found)).verdict == verdict


def test_a_row_without_a_value_is_not_measured_and_says_why() -> None:
    one = GpuFigure(claim_of("fused/64"), None, "no time")
    assert one.as_dict()["verdict"] == "not measured"
    assert one.as_dict()["value"] is None
    assert "not measured (no time)" in str(one)
    open_ended = GpuFigure(claim_of("fused/64"), Interval(2.0, 0.0, float("inf")))
    assert json.loads(json.dumps(open_ended.as_dict(), allow_nan=False))["high"] is None


def test_what_the_machine_has_not_is_skipped_and_what_does_not_work_fails() -> None:
    skipped = GpuFigure(claim_of("two"), None, "one GPU", skipped=True)
    assert (skipped.verdict, skipped.failed) == ("skipped", False)
    assert str(skipped).endswith(": skipped (one GPU)")
    wrong = GpuFigure(claim_of("capture"), Interval(0.0, 0.0, 0.0), "bare: refused")
    assert (wrong.failed, GpuFigure(claim_of("two"), None, "late").failed) == (True, True)
    assert str(wrong).endswith(": fails (bare: refused)")


def test_the_necessary_bytes_are_those_of_the_published_estimate() -> None:
    """fp16, 64 images: 570 MB of kernel tensors in all, twice (17 layers in 254 us at 4.3 TB/s)."""
    total = sum(bare_bytes(shape, 64, 2) for shape in LAYERS)
    kernels = sum(
        2 * 64 * s.output_size**2 * s.channels // GROUP_CHANNELS * s.kernel_size**2 for s in LAYERS
    )
    assert len(LAYERS) == 17
    assert total == pytest.approx(254e-6 * 4.3e12, rel=0.02)
    assert kernels == pytest.approx(570e6, rel=0.02)


def test_both_forms_of_the_layers_compute_the_same() -> None:
    small = [LayerShape("a", 32, 9, 7, 1, 1), LayerShape("b", 64, 7, 3, 2, 1)]
    layers = spans(small, 2, "cpu", torch.float64)
    for work in (forward_of, backward_of):
        fused, unfused = (work(layers, form)() for form in ("fused", "unfused"))
        for ours, theirs in zip(fused, unfused, strict=True):  # type: ignore[call-overload]
            torch.testing.assert_close(ours, theirs)


def test_every_operator_is_checked_at_every_shape_and_a_wrong_one_is_caught(
    monkeypatch: pytest.MonkeyPatch, small: LayerShape
) -> None:
    monkeypatch.setattr(gpu_checks, "REDNET50", (small,))
    found = list(gpu_checks.checks("cpu", torch.float32))
    assert len(found) == 3 + 2 + 4
    assert all(one.passed for one in found), found
    assert not gpu_checks.Check("bare", "nan", float("nan"), 1.0).passed
    monkeypatch.setitem(gpu_checks.TOLERANCES, torch.float32, -1.0)
    assert not any(one.passed for one in gpu_checks.checks("cpu", torch.float32))


def test_what_is_wrong_is_not_timed(tmp_path: Path) -> None:
    session = GpuSession("cuda", tmp_path / "x.json")
    wrong = gpu_checks.Check("fused", "fused, s1", 0.5, 0.004)
    session.checks = [wrong.as_dict(), gpu_checks.Check("bare", "fine", 1e-4, 0.004).as_dict()]
    assert session.disproved("fused") == "it disagrees with fp64: fused, s1"
    assert session.disproved("network") == "it disagrees with fp64: fused, s1"
    assert session.disproved("bare") is None
    assert session.disproved("first") is None
    assert session.disproved("training") == "it disagrees with fp64: fused, s1"


def test_only_a_whole_run_replaces_the_file(tmp_path: Path) -> None:
    path = tmp_path / "results" / "bench-gpu.json"
    session = GpuSession("cuda", path, rows=[GpuFigure(claim_of("fused/64"), None, "because")])
    partial = session.save()
    assert partial.name == "bench-gpu.partial.json"
    assert not path.exists()
    session.complete = True
    assert session.save() == path
    assert not partial.exists()
    document = json.loads(path.read_text())
    assert document["rows"][0]["reason"] == "because"
    assert document["environment"]["torch"] == torch.__version__


@WITHOUT_GPU
def test_without_a_gpu_one_line_and_nothing_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bench-gpu.json"
    path.write_text("measured earlier")
    assert gpu.main(["-o", str(path)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("bench-gpu: nothing was measured and nothing written: ")
    assert said.err.count("\n") == 1
    assert path.read_text() == "measured earlier"
    assert list(tmp_path.iterdir()) == [path]


def test_the_plan_lists_every_row(capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu.main(["--plan"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(ROWS)
    assert gpu.main(["--plan", "bare/s1", "first"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 4
    with pytest.raises(InputError, match="no row is called 'bar'"):
        gpu.wanted(["bar"])


@pytest.mark.parametrize("part", ["bare", "layer"])
def test_the_first_call_is_timed_by_a_process_of_its_own(part: str) -> None:
    assert first_call_s(part, "cpu") > 0


def test_the_report_marks_what_is_not_measured(tmp_path: Path) -> None:
    absent = find_gpu_benchmark(tmp_path)
    assert [row["verdict"] for row in absent.rows] == ["not measured"] * len(ROWS)
    assert all("make bench-gpu" in row["reason"] for row in absent.rows)


def test_the_report_reads_what_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[..., GpuSession]
) -> None:
    make(tmp_path / "bench-gpu.json").save()
    shown = find_gpu_benchmark(tmp_path)
    assert "copy bandwidth 3000 GB/s" in shown.machine
    assert shown.rows[0]["value"] == "85% (84% to 86%)"
    assert shown.rows[0]["verdict"] == "at least"
    assert shown.rows[1]["value"] == "0.7 s (0.6 s to 0.8 s)"
    assert shown.rows[2]["verdict"] == "not measured"
    works, slower = shown.rows[3], shown.rows[4]
    assert (works["value"], works["verdict"], works["aim"]) == ("yes", "works", "")
    assert (slower["value"], slower["verdict"]) == ("0.7x (0.69x to 0.71x)", "measured")
    assert len(shown.grid.rows) == 5


@pytest.fixture
def make() -> Callable[..., GpuSession]:
    """A whole session of five rows."""

    def made(path: Path) -> GpuSession:
        rows = [
            GpuFigure(claim_of("bare/s1/64"), Interval(0.85, 0.84, 0.86)),
            GpuFigure(claim_of("first/bare"), Interval(0.7, 0.6, 0.8)),
            GpuFigure(claim_of("fused/64"), None, "it failed"),
            GpuFigure(claim_of("capture"), Interval(1.0, 1.0, 1.0)),
            GpuFigure(claim_of("training/64"), Interval(0.7, 0.69, 0.71)),
        ]
        return GpuSession("cuda", path, copy={"value": 3000.0}, rows=rows, complete=True)

    return made
