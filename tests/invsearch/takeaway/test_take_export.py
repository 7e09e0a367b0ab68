"""`invsearch export`: what is written computes what the network does, anywhere."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from toy import invsearch, one_line, passed

import ops
from invsearch.models import NetworkSpec, build, rednet
from invsearch.models.trace import foreign_operators, trace
from invsearch.takeaway import export, load_network, subject_of
from invsearch.takeaway.saved import config_of, save_network

DOCS = Path(__file__).parents[3] / "docs" / "take-home.md"
HAS_ONNX = all(importlib.util.find_spec(name) for name in ("onnx", "onnxscript", "onnxruntime"))


@pytest.mark.parametrize("native", [False, True])
def test_program_equals_the_network_for_any_batch(native: bool) -> None:
    """All operators at once: involution, self-attention, convolution; strides 1 and 2."""
    operators = ("involution", "self_attention", "convolution", "involution")
    stages = [{"blocks": 1, "operator": operator, "kernel_size": 3} for operator in operators]
    network = rednet(None, num_classes=7, width=0.25, stem_kernel_size=3, stages=stages).eval()
    for stage in network.stages:
        stage[0].bn3.weight.data.fill_(1.0)
    program = trace(network, (1, 3, 32, 32), native=native)
    images = torch.randn(5, 3, 32, 32)
    with torch.no_grad():
        expected, found = network(images), program.module()(images)
    torch.testing.assert_close(found, expected)
    assert expected.std() > 1e-3, "nothing to compare"
    names = foreign_operators(program)
    assert bool(names) == native
    assert all(name.startswith("involution::") for name in names)


class _Own(ops.Involution2d):
    """A user's subclass, which no portable class stands for."""


def test_a_subclass_and_a_bare_call_become_torchs_operators_too() -> None:
    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = _Own(16, 3, stride=2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.layer(x)
            return ops.involution2d(y, self.layer.generator(y), stride=2)

    network = Network().eval()
    program = trace(network, (2, 16, 13, 10))
    assert foreign_operators(program) == []
    images = torch.randn(3, 16, 13, 10)
    with torch.no_grad():
        torch.testing.assert_close(program.module()(images), network(images), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("native", [False, True])
def test_a_written_program_is_measured(native: bool, tmp_path: Path) -> None:
    network = rednet(26, num_classes=3, width=0.25)
    torch.export.save(trace(network, (1, 3, 32, 32), native=native), tmp_path / "network.pt2")
    program = torch.export.load(tmp_path / "network.pt2")
    quick = {"min_samples": 6, "min_time": 0.0, "warmup_time": 0.0, "max_width": 1e9}
    for mode in ("forward", "backward"):
        assert ops.measure(program, (1, 3, 32, 32), mode=mode, **quick).median > 0


def test_trained_program_runs_by_the_docs_snippet_with_torch_alone(small: Path) -> None:
    """In a process of its own that never imports ops or invsearch."""
    passed(invsearch(small, "train", "small", 0, "-o", "kept"))
    printed = passed(
        invsearch(small, "export", "small", 0, "-o", "network.pt2", "--weights", "kept")
    ).stdout
    assert "trained" in printed
    assert "import ops" not in printed
    snippet = re.search(r"<!-- load -->\n```python\n(.*?)```", DOCS.read_text(), flags=re.DOTALL)
    assert snippet is not None
    assert len(snippet[1].splitlines()) <= 10
    more = "import sys; assert not {'ops', 'invsearch'} & set(sys.modules)\n"
    more += "torch.save({'images': images, 'logits': logits}, 'done.pt')\n"
    done = subprocess.run(
        [sys.executable, "-c", snippet[1] + more],
        cwd=small,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert '"architecture"' in done.stdout
    saved = torch.load(small / "done.pt", weights_only=True)
    with torch.no_grad():
        expected = load_network(small / "kept")(saved["images"])
    torch.testing.assert_close(saved["logits"], expected, rtol=1e-3, atol=1e-4)


FORMS = ["pt2", pytest.param("onnx", marks=pytest.mark.skipif(not HAS_ONNX, reason="no onnx"))]


@pytest.mark.parametrize("form", FORMS)
def test_a_file_that_takes_pixels_normalises_them(tmp_path: Path, form: str) -> None:
    """By what the config.json of the kept network says."""
    torch.manual_seed(0)
    stages = [{"blocks": 1, "operator": "convolution", "kernel_size": 3}] * 4
    network = rednet(None, num_classes=3, in_channels=1, width=0.125, stages=stages).eval()
    for stage in network.stages:
        stage[0].bn3.weight.data.fill_(1.0)
    origin = {"run": None, "trial": None, "architecture": {}, "operators": []}
    training = {"dataset": "digits"}
    config = config_of(origin, network.spec, 16, metrics={}, training=training)
    config["normalisation"] = {"mean": [4.9], "deviation": [6.0]}
    save_network(tmp_path / "kept", config, network.state_dict())
    path = tmp_path / f"network.{form}"
    done = export(subject_of(str(tmp_path / "kept")), path, pixels=True)
    assert done.config["input"] == "pixels"
    pixels = torch.randint(0, 17, (3, 1, 16, 16)).float()
    with torch.no_grad():
        expected = load_network(tmp_path / "kept")((pixels - 4.9) / 6.0)
    assert expected.std() > 1e-3, "nothing to compare"
    if form == "pt2":
        extra = {"config.json": ""}
        found = torch.export.load(path, extra_files=extra).module()(pixels)
        assert json.loads(extra["config.json"])["input"] == "pixels"
    else:
        onnx = pytest.importorskip("onnx.reference")
        run = onnx.ReferenceEvaluator(str(path))
        found = torch.tensor(run.run(None, {"images": pixels.numpy()})[0])
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


def test_pixels_of_an_untrained_network_are_refused(small: Path) -> None:
    line = ("--pixels", "--weights FOLDER")
    one_line(invsearch(small, "export", "small", 0, "-o", "a.pt2", "--pixels"), *line)
    one_line(invsearch(small, "export", "small", 0, "-o", "a.json", "--pixels"), "--format spec")


def test_spec_builds_the_network_and_keeps_the_sources(small: Path) -> None:
    passed(invsearch(small, "export", "small", 1, "-o", "network.json"))
    spec = json.loads((small / "network.json").read_text())
    network = build(NetworkSpec.from_json(spec["network"]))
    assert sum(p.numel() for p in network.parameters()) == spec["metrics"]["params"]["value"]
    assert spec["metrics"]["params"]["source"] == "counted"
    assert spec["metrics"]["error"]["source"] == "trained"
    assert spec["metrics"]["error"]["fidelity"]["width"] == 0.25
    assert spec["input_shape"] == [1, 3, 32, 32]
    assert spec["training"] is None


def test_misuse_is_one_line(small: Path, tmp_path: Path) -> None:
    one_line(invsearch(small, "export", "smal", 0, "-o", "a.pt2"), "'smal'", "small")
    one_line(invsearch(small, "export", "small", 9, "-o", "a.pt2"), "no trial 9", "nearest is 1")
    one_line(invsearch(small, "export", "small", "x", "-o", "a.pt2"), "TRIAL")
    one_line(invsearch(small, "export", "small", 0), "--output")
    one_line(invsearch(small, "export", "small", 0, "-o", "a.bin"), ".pt2", "--format")
    one_line(invsearch(small, "export", "small", 0, "-o", "a", "--format", "onx"), "'onnx'")
    one_line(invsearch(small, "export", "small", 0, "-o", "a.json", "--native"), "--native")
    one_line(invsearch(small, "export", "small", 0, "-o", "results", "--format", "spec"), "folder")
    (small / "results" / "small" / "space.yaml").unlink()
    one_line(invsearch(small, "export", "small", 0, "-o", "a.pt2"), "no space.yaml")


def test_weights_of_another_architecture_are_refused(small: Path) -> None:
    passed(invsearch(small, "train", "small", 0, "-o", "kept", "--epochs", 1))
    refused = invsearch(small, "export", "small", 1, "-o", "a.pt2", "--weights", "kept")
    one_line(refused, "trial 0 of small", "another architecture")


def test_run_of_an_evaluator_has_no_network(tmp_path: Path) -> None:
    from toy import write_space

    passed(invsearch(tmp_path, "run", write_space(tmp_path), "--trials", 1, "--executor", "serial"))
    for words in (("export", "-o", "a.pt2"), ("measure",), ("train",)):
        one_line(invsearch(tmp_path, words[0], "toy", 0, *words[1:]), "'evaluator'", "no network")


@pytest.mark.skipif(HAS_ONNX, reason="onnx is installed")
def test_missing_onnx_says_what_to_install(small: Path) -> None:
    refused = invsearch(small, "export", "small", 0, "-o", "a.onnx")
    one_line(refused, "onnx", "pip install 'invsearch[onnx]'")


@pytest.mark.skipif(not HAS_ONNX, reason="needs the extra onnx")
def test_onnx_has_named_inputs_and_a_free_batch(small: Path) -> None:
    import onnx

    passed(invsearch(small, "export", "small", 0, "-o", "a.onnx"))
    graph = onnx.load(small / "a.onnx").graph
    (images,) = graph.input
    assert images.name == "images"
    assert images.type.tensor_type.shape.dim[0].dim_param == "batch"


OPERATOR = """
from torch import nn

import ops


@ops.register(
    "take_home_shift",
    macs=lambda shape, *, stride: 0,
    params=lambda channels: 0,
)
def shift(channels, *, stride):
    return nn.MaxPool2d(3, stride, 1)
"""

FOREIGN = """
name: foreign
objectives: {macs: minimize}
model: {family: rednet, resolution: 32, operators: [shift.py]}
space: {width: {choice: [0.25]}, stage: {blocks: 1, operator: take_home_shift}}
search: {strategy: random, trials: 1}
"""


def test_operators_file_travels_with_the_run_and_is_asked_for_where_it_is_gone(
    tmp_path: Path,
) -> None:
    """A space file names it relative to itself; the run keeps a copy, from this version on."""
    project, away = tmp_path / "project", tmp_path / "away"
    (project / "spaces").mkdir(parents=True)
    away.mkdir()
    (project / "spaces" / "shift.py").write_text(OPERATOR)
    (project / "spaces" / "foreign.yaml").write_text(FOREIGN)
    passed(invsearch(project, "run", "spaces/foreign.yaml", "--executor", "serial"))
    run = project / "results" / "foreign"
    passed(invsearch(away, "export", run, 0, "-o", "a.json"))
    (project / "spaces" / "shift.py").rename(tmp_path / "shift.py")
    passed(invsearch(away, "export", run, 0, "-o", "a.json"))
    (run / "sources" / "shift.py").unlink()
    one_line(invsearch(away, "export", run, 0, "-o", "a.json"), "shift.py", str(run), "missing")
    shutil.rmtree(run / "sources")  # a run of the version before
    one_line(invsearch(away, "export", run, 0, "-o", "a.json"), "'shift.py'", str(run), "copy it")


def test_a_run_of_a_strategy_that_is_gone_is_taken_home(small: Path) -> None:
    """The plug-in that searched need not be here: the architecture is."""
    space = small / "results" / "small" / "space.yaml"
    text = space.read_text()
    assert "strategy: random" in text
    space.write_text(text.replace("strategy: random", "strategy: gone"))
    passed(invsearch(small, "export", "small", 0, "-o", "spec.json"))
    assert json.loads((small / "spec.json").read_text())["trial"] == 0
