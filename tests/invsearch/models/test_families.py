"""Every family conforms; what is particular to one; a third party's."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from toy import invsearch, passed

from invsearch import cost, models
from invsearch.errors import InputError
from invsearch.models import FAMILIES, Family, build, family_spec, network_spec
from invsearch.models.families import Families, mobilenet, rednet, resnet
from invsearch.problem.network import NetworkProblem
from invsearch.space import json_schema, load_space_file
from invsearch.takeaway import load_network
from invsearch.testing.family import FamilyConformance


class TestFamilies(FamilyConformance):
    @pytest.fixture(params=list(FAMILIES))
    def family(self, request: pytest.FixtureRequest) -> Family:
        return FAMILIES[request.param]


def test_mobilenet_is_the_published_network() -> None:
    """torchvision's parameters; the paper's 300 M multiply-adds, without batch norm and pooling."""
    spec = family_spec("mobilenet", 53)
    assert cost.count(spec).params == 3_504_872
    network = build(spec)
    products = cost.flop_counter_macs(network, (1, 3, 224, 224)).total()
    assert products == 300_774_272
    assert sum(isinstance(m, nn.Conv2d | nn.Linear) for m in network.modules()) == 53


def test_expansion_widens_all_stages_but_the_first() -> None:
    spec = family_spec("mobilenet", 53, expansion=3, width=0.5)
    widths = [place.part.inner_channels for place, _ in spec.blocks()]
    ins = [place.part.in_channels for place, _ in spec.blocks()]
    assert widths == [ins[0], *(3 * channels for channels in ins[1:])]


def test_the_familys_own_default_is_of_its_own_operator() -> None:
    """A MobileNet's depthwise window is 3; an involution's in it stays 7."""
    spec = family_spec("mobilenet", 53, stages=[{}, {"operator": "involution"}, {}, {}, {}, {}, {}])
    sizes = {
        block.operator: dict(block.hyperparameters)["kernel_size"] for _, block in spec.blocks()
    }
    assert sizes == {"depthwise_convolution": 3, "involution": 7}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"depth": 50}, "depth 50 is unknown: choose from \\[53, 'custom'\\]"),
        ({"stage8.kernel_size": 3}, "a network has 7 stages"),
        ({"expansion": 0}, "expansion is 0: it must be a whole number"),
        ({"family": "mobilnet"}, "did you mean 'mobilenet'"),
    ],
)
def test_bad_settings_are_named(settings: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        network_spec({"family": "mobilenet", "depth": 53}, settings)


def write(folder: Path, text: str) -> Path:
    path = folder / "space.yaml"
    path.write_text("name: x\nobjectives: {macs: minimize}\n" + text)
    return path


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "model: {}\nspace: {depth: 26, family: {choice: [rednet, mobilenet]}}\n",
            r"4:28: space.family: rednet and mobilenet have other stages",
        ),
        ("model: {family: mobilenet, depth: 50}\nspace: {width: 1}\n", "allowed: 53, custom"),
        (
            "model: {family: mobilenet, depth: 53, task: retinanet}\nspace: {width: 1}\n",
            "family mobilenet is no backbone",
        ),
        (
            "model: {family: mobilenet, depth: 53, stem_kernel_size: 3}\nspace: {width: 1}\n",
            "only rednet has a stem with a kernel",
        ),
        (
            "model: {family: resnet, depth: 50, expansion: 3}\nspace: {width: 1}\n",
            "only mobilenet has blocks that are wider inside",
        ),
        (
            "model: {family: mobilenet, depth: 53}\nspace: {stage: {kernel_size: [3, 3, 3, 3]}}\n",
            "one entry a stage, so 7, not 4",
        ),
        (
            "model: {family: mobilenet, depth: 53, operator: involution}\n"
            "space: {group_channels: {choice: [8, 7]}}\n",
            "group_channels = 7 does not divide channels = 32",
        ),
    ],
)
def test_what_a_space_of_mobilenets_cannot_say(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_space_file(write(tmp_path, text))


def test_blocks_of_a_stage_are_ruled_out_by_the_width_that_they_have(tmp_path: Path) -> None:
    """The first block is as wide inside as the stage before says; the rule knows both widths."""
    path = write(
        tmp_path,
        """
model: {family: mobilenet, operator: involution, width: 0.5}
space:
  expansion: {choice: [1, 3, 6]}
  stage:
    blocks: {range: [1, 2]}
    group_channels: [8, 8, {choice: [8, 24, 32]}, 8, 8, 8, 8]
""",
    )
    space = load_space_file(path).space
    fixed = {f"stage{i}.blocks": 1 for i in range(1, 8)}
    for architecture in space.enumerate():
        spec = network_spec(space.constants, architecture)
        assert not any(models.problem(p.part.inner_channels, b) for p, b in spec.blocks())
    assert space.size() == len(list(space.enumerate()))
    found = {}
    for expansion in (1, 3, 6):
        for groups in (8, 24, 32):
            for blocks in (1, 2):
                values = {
                    "expansion": expansion, **fixed, "stage3.blocks": blocks,
                    "stage3.group_channels": groups,
                }  # fmt: skip
                found[expansion, groups, blocks] = space.problem(values) is None
    # 16 channels come into each block of the third stage
    assert found[3, 24, 1]
    assert found[3, 24, 2]
    assert not found[1, 24, 1]
    assert found[6, 32, 1]
    assert not found[3, 32, 1]


def test_the_shipped_space_searches_mobilenets() -> None:
    space_file = load_space_file("mobilenet")
    assert space_file.space.size_is_exact
    problem = NetworkProblem(space_file)
    architecture = space_file.space.sample(random.Random(0))
    baseline = problem.baselines()["MobileNetV2"]
    assert problem.spec(baseline) == family_spec("mobilenet", 53)
    assert set(problem.known(architecture)) >= {"params", "macs"}


def test_the_schema_and_the_baselines_read_the_table() -> None:
    schema = json_schema()
    assert schema["$defs"]["Model"]["properties"]["family"] == {"enum": list(FAMILIES)}
    names = [name for family in FAMILIES.values() for name in family.baselines]
    assert names == ["RedNet-26", "RedNet-38", "RedNet-50", "ResNet-26", "ResNet-50", "MobileNetV2"]


PLUGIN = """
from dataclasses import replace
from invsearch.models.families.resnet import FAMILY as RESNET

FAMILY = replace(RESNET, name="slim", title="Slim", operator="depthwise_convolution")
"""


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    (folder / "slim_family.py").write_text(source)
    info = folder / "slim_family-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: slim-family\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[invsearch.families]\nslim = slim_family:FAMILY\n")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "slim_family", raising=False)


def table() -> Families:
    return Families((rednet.FAMILY, resnet.FAMILY, mobilenet.FAMILY))


def test_a_third_partys_family_is_loaded_when_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, monkeypatch, PLUGIN)
    families = table()
    assert families["rednet"] is rednet.FAMILY
    assert "slim_family" not in sys.modules
    assert families["slim"].operator == "depthwise_convolution"
    assert list(families) == ["rednet", "resnet", "mobilenet", "slim"]


def test_a_broken_plugin_is_left_out_with_its_distribution_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, monkeypatch, "raise RuntimeError('no such device')\n")
    with pytest.warns(UserWarning, match=r"'slim' of slim-family .* RuntimeError: no such device"):
        assert "slim" not in table()


def test_a_name_is_taken_once() -> None:
    with pytest.raises(ValueError, match="'resnet' already"):
        table().add(resnet.FAMILY)


def test_a_network_of_an_unknown_form_says_so() -> None:
    data = family_spec("resnet", 26).to_json()
    data["stages"][0]["form"] = "bottlneck"
    spec = models.NetworkSpec.from_json(data)
    with pytest.raises(InputError, match="did you mean 'bottleneck'"):
        cost.count(spec)


def test_specs_of_former_versions_are_read() -> None:
    """They name neither form nor expansion nor a final convolution."""
    spec = family_spec("rednet", 26)
    data = spec.to_json()
    del data["final_channels"]
    for stage in data["stages"]:
        del stage["form"], stage["expansion"]
    assert models.NetworkSpec.from_json(data) == spec


def test_names_of_parts_are_those_of_former_latency_tables() -> None:
    """A table that was measured with a version before the forms is still read."""
    parts = [place.part.name for place in family_spec("rednet", 26).walk(224, 224)]
    assert parts[0].startswith("stem(kind=rednet, channels=64, kernel_size=7, stride=2, pool=True)")
    assert parts[1] == (
        "block involution(dilation=1, generator=bottleneck, group_channels=16, kernel_size=7, "
        "reduction=4), width 64, stride 1, on 64x56x56"
    )
    assert parts[-1] == "head, 1000 classes, on 2048x7x7"


SMALL = """
name: small
objectives: {val_loss: minimize, macs: minimize}
model: {family: mobilenet, resolution: 32, depth: custom, group_channels: 8, expansion: 3}
space:
  width: 0.5
  stage:
    blocks: 1
    operator: {choice: [depthwise_convolution, involution]}
accuracy: {epochs: 1, data_fraction: 0.3, baselines: false, lr: 0.01, proxy: {resolution: 8}}
search: {strategy: random, trials: 1}
"""


def test_a_mobilenet_is_searched_trained_and_exported(tmp_path: Path) -> None:
    """From the space file to a program that torch runs alone, like every other family's."""
    (tmp_path / "small.yaml").write_text(SMALL)
    passed(invsearch(tmp_path, "run", "small.yaml", "--executor", "serial"))
    passed(invsearch(tmp_path, "train", "small", "0", "--epochs", "1", "-o", "kept"))
    passed(invsearch(tmp_path, "export", "small", "0", "-o", "network.pt2", "--weights", "kept"))
    network = load_network(tmp_path / "kept")
    assert network.spec.stages[0].form == "inverted_residual"
    images = torch.randn(3, *torch.Size([network.spec.in_channels, 8, 8]))
    with torch.no_grad():
        expected = network(images)
        found = torch.export.load(tmp_path / "network.pt2").module()(images)
    torch.testing.assert_close(found, expected)
