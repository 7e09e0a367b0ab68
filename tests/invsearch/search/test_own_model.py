"""docs/own-model.md, word for word: a network of one's own is searched, kept, exported."""

from __future__ import annotations

import importlib.util
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from toy import invsearch, one_line, passed, trial_lines

import invsearch as suite
from invsearch.problem import problem_of
from invsearch.space import load_space_file
from invsearch.takeaway.saved import load_network

DOCS = Path(__file__).parents[3] / "docs" / "own-model.md"
BLOCKS = re.findall(r"`([\w.]+)`[^`]*:\n\n```\w+\n(.*?)```", DOCS.read_text(), flags=re.DOTALL)
SETTINGS = ("accuracy.epochs=1", "accuracy.data_fraction=0.2", "search.early_replicates=0")
SMALL = ("--executor", "serial", *(word for one in SETTINGS for word in ("--set", one)))
timm = pytest.mark.skipif(importlib.util.find_spec("timm") is None, reason="timm is not installed")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """The files of the page; each test imports its own."""
    assert [name for name, _ in BLOCKS] == ["nets.py", "nets.yaml", "timm.yaml", "late.py"]
    for name, text in BLOCKS:
        (tmp_path / name).write_text(text)
    yield tmp_path
    for name in ("nets", "late"):
        sys.modules.pop(name, None)


def test_a_builder_is_searched_kept_evaluated_elsewhere_and_exported(folder: Path) -> None:
    passed(invsearch(folder, "run", "nets.yaml", *SMALL, "--trials", 2))
    trials = trial_lines(folder / "results" / "nets")
    assert [trial["state"] for trial in trials] == ["complete"] * 2
    assert {trial["metrics"]["macs"]["source"] for trial in trials} == {"counted"}
    assert trials[0]["metrics"]["val_loss"]["fidelity"]["width"] == 0.25
    assert (folder / "results" / "nets" / "sources" / "nets.py").is_file()
    passed(invsearch(folder, "train", "results/nets", 0, "-o", "kept"))
    away = folder / "away"
    away.mkdir()
    shutil.move(folder / "kept", away / "kept")
    (folder / "nets.py").unlink()
    del sys.modules["nets"]
    network = load_network(away / "kept")
    images = torch.randn(2, 1, 16, 16)
    expected = network(images)
    passed(invsearch(away, "evaluate", "kept", "--json"))
    passed(invsearch(away, "export", "kept", "-o", "net.pt2"))
    program = torch.export.load(away / "net.pt2").module()
    torch.testing.assert_close(program(images), expected, rtol=1e-4, atol=1e-5)
    resumed = invsearch(folder, "run", "nets.yaml", *SMALL, "--resume", "--trials", 3)
    passed(resumed)
    assert len(trial_lines(folder / "results" / "nets")) == 3, "with the copy that the run keeps"


def test_layers_and_latency_of_a_builders_network(folder: Path) -> None:
    objectives = ("--set", "objectives={macs: minimize, latency_ms: minimize}")
    passed(invsearch(folder, "run", "nets.yaml", *SMALL, *objectives, "--trials", 1))
    (trial,) = trial_lines(folder / "results" / "nets")
    assert trial["state"] == "complete", trial["error"]
    assert trial["metrics"]["latency_ms"]["detail"]["shape"] == [1, 1, 64, 64]
    shown = passed(invsearch(folder, "explain", "nets.yaml", "--layers")).stdout
    assert "convolution" in shown
    one_line(invsearch(folder, "explain", "nets.yaml", "--layers", "--measure"), "families")


def test_networks_that_are_built_alike_are_one_where_it_is_asked(folder: Path) -> None:
    """Without an operator the kernel says nothing: three architectures are one network."""
    text = (folder / "nets.yaml").read_text()
    text = re.sub(r", when: \{.*?\]\}", "", text).replace("[none, convolution,", "[none,")
    (folder / "nets.yaml").write_text(
        text.replace("depthwise_convolution, involution", "involution")
    )
    counted = ("--set", "objectives={macs: minimize, params: minimize}", "--executor", "serial")
    built = ("--set", "model.canonical=built", "--trials", 50)
    passed(invsearch(folder, "run", "nets.yaml", *counted, *built, "--out", "built"))
    passed(invsearch(folder, "run", "nets.yaml", *counted, "--trials", 50, "--out", "plain"))
    assert len(trial_lines(folder / "plain")) == 6
    assert len(trial_lines(folder / "built")) == 4


def test_a_network_that_cannot_be_counted_or_returns_no_logits_is_refused(folder: Path) -> None:
    source = (folder / "nets.py").read_text()
    windows = source.replace("Pool2d(1)", "Pool2d(3), nn.Unfold(3)")
    windows = windows.replace("(before, num_classes)", "(9 * before, num_classes)")
    (folder / "nets.py").write_text(windows)
    one_line(invsearch(folder, "run", "nets.yaml", *SMALL), "nothing counts aten::im2col")
    del sys.modules["nets"]
    (folder / "nets.py").write_text(source.replace(", nn.Linear(before, num_classes)", ""))
    one_line(invsearch(folder, "run", "nets.yaml", *SMALL), "not the logits (2, 10)")
    del sys.modules["nets"]
    (folder / "nets.py").write_text(source.replace("def build(", "def bild("))
    one_line(invsearch(folder, "run", "nets.yaml", *SMALL), "did you mean 'bild'")
    del sys.modules["nets"]
    (folder / "nets.py").write_text(source.replace(", width=1.0", "").replace("* width", ""))
    one_line(invsearch(folder, "run", "nets.yaml", *SMALL), "accuracy.proxy.width has no effect")


def test_costs_of_a_large_space_are_counted_at_the_proposal(folder: Path) -> None:
    wide = ("--set", "space.seed={range: [1, 1000]}")
    bound = ("--set", "constraints={macs: {max: 12M}}")
    counted = ("--set", "objectives={macs: minimize, params: minimize}", "--executor", "serial")
    arguments = ("run", "nets.yaml", *counted, *wide, *bound, "--trials", 6)
    passed(invsearch(folder, *arguments, "--set", "search.strategy=random"))
    trials = trial_lines(folder / "results" / "nets")
    assert {trial["state"] for trial in trials} == {"complete", "infeasible"}
    for trial in trials:
        macs = trial["metrics"]["macs"]
        assert macs["source"] == "counted"
        assert (macs["value"] <= 12e6) == (trial["state"] == "complete")


@timm
def test_a_network_of_timms_with_other_operators(folder: Path) -> None:
    # a process of its own: timm warns as it is imported, by packages of its own
    passed(invsearch(folder, "run", "timm.yaml", *SMALL, "--trials", 2, OMP_NUM_THREADS="1"))
    run = suite.load_run(folder / "results" / "timm")
    assert run.trials[0].origin == "baseline"
    assert run.trials[0].architecture.to_json() == {"third": "keep", "fourth": "keep"}
    assert run.trials[1].state == "complete", run.trials[1].error
    assert run.trials[0].metrics["macs"].value != run.trials[1].metrics["macs"].value


@timm
def test_a_builder_around_timm(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from invsearch.models import build_searched

    text = (
        "name: late\nobjectives: {macs: minimize}\nmodel: {builder: late:build, resolution: 64}\n"
    )
    space = "space: {name: test_resnet, first: {choice: [1, 4]}, groups: {choice: [2, 4]}}\n"
    (folder / "late.yaml").write_text(text + space)
    problem = problem_of(load_space_file(folder / "late.yaml"))
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    problem.check()
    early, late = (
        problem.space.canonical({"first": first, "groups": 2}) for first in (1, 4)
    )  # fmt: skip
    count = {one: problem.known(one)["params"].value for one in (early, late)}
    assert count[early] != count[late]
    assert build_searched(problem.searched(late))(torch.randn(2, 3, 64, 64)).shape == (2, 1000)
