"""Names choose cases; documents are compared; the command prints what it should."""

from __future__ import annotations

import copy
import io
import json
import shutil
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import training_beside

from invsearch.bench import Settings, compare_documents, load_document, plan
from invsearch.bench import session as bench_session
from invsearch.bench.case import Case, Result, measure_case
from invsearch.bench.case_worker import measure_apart
from invsearch.bench.figure import bars, ceiling, roofline_points
from invsearch.bench.layers import bare_case
from invsearch.bench.memory import ExtraMemory, extra_memory
from invsearch.bench.reach import CLAIMS, outcome
from invsearch.bench.session import BenchSession
from invsearch.bench.shapes import LayerShape
from invsearch.bench.table import changes_table, session_tables
from invsearch.cli import main
from invsearch.errors import InputError, TrialError
from ops.timing import Roofline, Rule

QUICK = Settings().quickly()


def names(*asked: str, settings: Settings = QUICK) -> list[str]:
    return [name for name, _ in plan(asked, settings)]


def test_no_name_is_every_operator_and_no_composite() -> None:
    tops = {name.split("/")[0] for name in names()}
    assert tops >= {"convolution", "depthwise_convolution", "involution", "self_attention"}
    assert not tops & {"reach", "study"}


def test_a_name_is_the_beginning_of_a_case() -> None:
    assert names("involution/s3") == [
        "involution/s3/b1/forward/layer",
        "involution/s3/b1/forward/bare",
    ]
    assert all(name.startswith("reach/") for name in names("reach"))
    assert "reach/memory" in names("reach")
    assert names("involution/s3", "involution") == list(
        dict.fromkeys(names("involution/s3", "involution"))
    )


def test_quick_is_a_part_of_all() -> None:
    everything = names("involution", "reach", "study", settings=Settings())
    assert set(names("involution", "reach", "study")) < set(everything)
    assert "involution/s2d/b8/backward/bare" in everything


@pytest.mark.parametrize("asked", ["invoution", "involution/s5", "involutions"])
def test_an_unknown_name_is_an_error_that_names_the_nearest(asked: str) -> None:
    with pytest.raises(InputError, match=r"nothing is called .*did you mean 'involution"):
        plan([asked], QUICK)


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """A measured session of one case, as JSON."""
    return json.loads(json.dumps(session().as_dict()))


def session() -> BenchSession:
    from ops.timing import Rule

    settings = Settings(rule=Rule(7, 0, 1e9, 10, 0, 0))
    done = BenchSession(settings, Roofline(100.0, 10.0, 1, "cpu", "float32"))
    shape = LayerShape("tiny", 16, 5, 3, 1, 1)
    done.results.append(measure_case(bare_case(shape, 1, "forward", "cpu"), settings))
    done.memory.append(ExtraMemory("default", 5, 100))
    done.failures["a"] = "no compiler"
    return done


def scaled(document: dict[str, Any], factor: float, *flags: str) -> dict[str, Any]:
    """The same document with steady times that are `factor` as long."""
    other = copy.deepcopy(document)
    for one in other["cases"][0]["measurements"].values():
        one["samples"], one["flags"] = [factor * 1e-3] * 20, list(flags)
    return other


@pytest.mark.parametrize(("factor", "verdict"), [(1.0, "same"), (0.5, "faster"), (2.0, "slower")])
def test_a_document_is_compared_case_by_case(
    document: dict[str, Any], factor: float, verdict: str
) -> None:
    changes = compare_documents(scaled(document, 1.0), scaled(document, factor))
    assert {change.candidate for change in changes} == set(document["cases"][0]["measurements"])
    assert {change.verdict for change in changes} == {verdict}
    assert all(change.speedup.value == pytest.approx(1 / factor) for change in changes)
    assert json.loads(json.dumps([change.as_dict() for change in changes]))[0]["verdict"] == verdict


def test_another_machine_or_a_disturbance_cannot_tell(document: dict[str, Any]) -> None:
    before, after = scaled(document, 1.0), scaled(document, 2.0)
    loaded = compare_documents(before, scaled(document, 2.0, "foreign load: much"))
    assert {(one.verdict, one.reason) for one in loaded} == {("cannot tell", "foreign load: much")}
    after["settings"]["threads"] = 9
    assert {one.reason for one in compare_documents(before, after)} == {
        "other settings: threads was 1, is 9"
    }
    after["environment"]["cpu_model"] = "abacus"
    changes = compare_documents(before, after)
    assert {one.verdict for one in changes} == {"cannot tell"}
    assert "cpu_model" in str(changes[0].reason)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "No such file"),
        ("{", "not JSON"),
        ("[]", "not a document of invsearch bench"),
        ('{"kind": "bench", "schema": 99}', "schema 99, this version reads 1"),
    ],
)
def test_a_bad_document_is_one_line(tmp_path: Path, text: str | None, message: str) -> None:
    path = tmp_path / "a.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=message):
        load_document(path)


def test_a_damaged_document_is_one_line(document: dict[str, Any]) -> None:
    damaged = copy.deepcopy(document)
    del damaged["cases"][0]["measurements"]["torch"]["samples"]
    with pytest.raises(InputError, match="damaged: KeyError\\('samples'\\)"):
        compare_documents(damaged, document)


def test_figures_have_a_point_and_a_bar_for_each_candidate(document: dict[str, Any]) -> None:
    candidates = list(document["cases"][0]["measurements"])
    points = roofline_points(document)
    assert [point["candidate"] for point in points] == candidates
    assert all(point["intensity"] > 0 and point["gflops"] > 0 for point in points)
    assert [bar["candidate"] for bar in bars(document)] == candidates
    assert ceiling(document, 1.0, 100.0) == [(1.0, 10.0), (10.0, 100.0), (100.0, 100.0)]


def test_tables_show_every_candidate_and_every_reason(document: dict[str, Any]) -> None:
    from rich.console import Console

    console = Console(width=200, record=True, file=io.StringIO())
    console.print(session_tables(session()))
    console.print(changes_table(compare_documents(document, document)))
    text = console.export_text()
    for word in (*document["cases"][0]["measurements"], "skipped a: no compiler", "5.0%", "100 GF"):
        assert word in text


def test_a_training_on_the_device_gives_way_case_by_case(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    """By the timestamps of both: no step falls into a case, and between two cases it goes on."""
    monkeypatch.setenv("INVSEARCH_LOCKS", str(tmp_path))
    measured: list[training_beside.Span] = []

    def timed(case: Case, how: Settings) -> Result:
        began = time.time()
        result = measure_case(case, how)
        measured.append((began, time.time()))
        return result

    monkeypatch.setattr(bench_session, "measure_case", timed)
    log, stop = tmp_path / "steps", tmp_path / "stop"
    # away from tests/invsearch, which would be taken for the package
    program = shutil.copy(training_beside.__file__, tmp_path)
    training = subprocess.Popen([sys.executable, program, log, stop])
    try:
        training_beside.wait_for_steps(log, 5)
        bench_session.run(["convolution/s3", "convolution/s4"], settings)
        training_beside.wait_for_steps(log, 5)
    finally:
        stop.touch()
        training.wait(60)
    taken = training_beside.steps(log)
    assert len(measured) >= 2
    assert not training_beside.overlaps(taken, measured)
    for (_, before), (after, _) in pairwise(measured):
        assert any(before <= began and ended <= after for began, ended in taken), "it starved"


def test_extra_memory_is_seen() -> None:
    """Unfold copies every window: several times the kernel tensor."""
    assert extra_memory("unfold").part > 5


def test_the_command_prints_json_only(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    arguments = ["bench", "depthwise_convolution/s4", "--quick", "--json"]
    first = command(arguments, capsys, monkeypatch)
    assert first["cases"][0]["name"] == "depthwise_convolution/s4/b1/forward/layer"
    assert first["roofline"]["gflops"] > 0
    earlier = tmp_path / "earlier.json"
    earlier.write_text(json.dumps(first))
    second = command([*arguments, "--against", str(earlier)], capsys, monkeypatch)
    assert {one["candidate"] for one in second["against"]} == {"default", "3x3 convolution"}


def test_a_bad_device_is_bad_input(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["invsearch", "bench", "--device", "abacus"])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2
    assert "device 'abacus' cannot be used" in capsys.readouterr().err


def command(
    arguments: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> dict[str, Any]:
    monkeypatch.setattr(sys, "argv", ["invsearch", *arguments])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_a_composite_case_is_measured_in_a_process_of_its_own() -> None:
    settings = Settings(rule=Rule(6, 0.0, 10.0, 0.01, 0.0), quick=True)
    result = measure_apart("reach/bare/s3", settings)
    assert result.name == "reach/bare/s3"
    assert result.comparison.measurements["default"].median > 0
    assert outcome(next(c for c in CLAIMS if c.case == result.name), result) is not None
    with pytest.raises(TrialError, match="reach/none"):
        measure_apart("reach/none", settings)
