"""``explain --layers --measure``: each row of the closed form timed, beside the network."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from invsearch.cli import app
from invsearch.cost import layers
from invsearch.errors import InputError, TrialError
from invsearch.explain import explain_layers
from invsearch.latency.layers import layer_modules
from invsearch.models import build, rednet_spec, resnet_spec
from invsearch.space import load_space_file

SPACE = """\
name: t
objectives: {macs: minimize}
model: {family: rednet, resolution: 16, num_classes: 10, depth: custom}
space:
  width: {choice: [0.125, 0.25]}
  group_channels: 8
  stage: {blocks: 1}
latency: {batch_size: 2}
"""


@pytest.fixture
def space(tmp_path: Path) -> str:
    path = tmp_path / "t.yaml"
    path.write_text(SPACE)
    return str(path)


@pytest.mark.parametrize(
    "spec",
    [
        rednet_spec(26, width=0.125, group_channels=8),
        resnet_spec(38, width=0.125),
        resnet_spec(26, width=0.125, deep_stem=True),
    ],
    ids=["rednet", "resnet", "deep"],
)
def test_what_is_timed_is_what_is_counted(spec) -> None:
    """The modules of each row have the row's name and parameters, in the rows' order."""
    timed = [
        (name, sum(p.numel() for p in part.parameters()))
        for name, part in layer_modules(build(spec))
    ]
    assert timed == [(row.name, row.params) for row in layers(spec, 32)]


def test_every_row_is_measured_at_its_shape(space: str) -> None:
    """A fresh process gives each row an interval, at the shape that enters it in the network."""
    found = explain_layers(load_space_file(space), measure=True)
    measured = found.latency
    assert measured is not None
    assert list(measured.layers) == [row.name for row in found.layers]
    for latency in (measured.network, *measured.layers.values()):
        assert latency.source == "measured"
        assert 0 < latency.low <= latency.value <= latency.high
    shapes = {name: latency.detail["shape"] for name, latency in measured.layers.items()}
    assert measured.network.detail["shape"] == shapes["stem.conv1"] == [2, 3, 16, 16]
    assert shapes["stage2.block1.operator"] == [2, 16, 4, 4]
    assert shapes["stage2.block1.downsample"] == [2, 32, 4, 4]
    assert shapes["stage2.block1.add"] == [2, 64, 2, 2]
    assert shapes["head"] == [2, 256]
    assert measured.network.detail["threads"] == 1
    data = found.to_json()
    assert json.loads(json.dumps(data)) == data
    assert data["latency"]["sum_ms"] == sum(row["latency_ms"]["value"] for row in data["layers"])
    out = io.StringIO()
    Console(file=out, width=170).print(found.text())
    assert "the whole network takes" in out.getvalue()


def test_counted_layers_are_json_that_holds_bytes(space: str) -> None:
    """Without --measure there is no latency, in the JSON either."""
    data = explain_layers(load_space_file(space)).to_json()
    assert json.loads(json.dumps(data)) == data
    assert "latency" not in data
    assert data["layers"][-1]["bytes"] == 4 * (257 * 10 + 256 + 10)
    assert "latency_ms" not in data["layers"][-1]


def test_only_networks_that_classify_are_measured() -> None:
    """A detector is refused with the way out, before anything is timed."""
    with pytest.raises(InputError, match=r"this one is a \w+: leave --measure out"):
        explain_layers(load_space_file("detection"), measure=True)


def test_measure_without_layers_is_refused(space: str) -> None:
    """Not silently ignored."""
    with pytest.raises(InputError, match="--measure goes with --layers"):
        app(["explain", space, "--measure"], standalone_mode=False)


def test_a_device_that_is_not_there_is_one_line(space: str) -> None:
    """What failed in the process is said."""
    file = load_space_file(space, ["latency.device=cuda:77"])
    with pytest.raises(TrialError, match="latency on cuda:77: "):
        explain_layers(file, measure=True)
