"""RedNets and kept networks through timm's own door; offline, and with features alone."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from toy import invsearch, passed

from invsearch.models import build_searched, rednet
from invsearch.runs.files import dump_json
from invsearch.takeaway.saved import SavedNetwork, load_network

needs_timm = pytest.mark.skipif(
    importlib.util.find_spec("timm") is None, reason="timm is not installed"
)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ``train -o`` keeps of a small RedNet."""
    folder = tmp_path_factory.mktemp("kept")
    (folder / "toy.yaml").write_text(
        "name: toy\nobjectives: {val_loss: minimize, macs: minimize}\nmodel: {family: rednet}\n"
        "space: {depth: {choice: [26]}, width: 0.5}\n"
        "accuracy: {epochs: 1, data_fraction: 0.1, baselines: false, proxy: {width: 0.25}}\n"
    )
    passed(invsearch(folder, "run", "toy.yaml", "--executor", "serial", "--trials", 1))
    passed(invsearch(folder, "train", "results/toy", 0, "-o", "kept"))
    return folder / "kept"


@pytest.fixture(scope="module")
def timm() -> Any:
    import invsearch.timm  # noqa: F401

    return sys.modules["timm"]


@needs_timm
def test_rednets_are_there_by_name(timm: Any) -> None:
    assert timm.list_models("rednet*") == [f"rednet{d}" for d in (26, 38, 50, 101, 152)]
    made = timm.create_model("rednet26", num_classes=7, in_chans=1, global_pool="max").eval()
    own = rednet(26, num_classes=7, in_channels=1, global_pool="max").eval()
    own.load_state_dict(made.state_dict())
    images = torch.randn(2, 1, 64, 64)
    torch.testing.assert_close(made(images), own(images))
    assert (made.num_classes, made.num_features) == (7, 2048)
    assert made.pretrained_cfg["classifier"] == "head"
    assert made.get_submodule(made.pretrained_cfg["first_conv"]).weight.shape[1] == 1
    made.reset_classifier(3)
    assert made(images).shape == (2, 3)


@needs_timm
def test_features_are_the_stages(timm: Any) -> None:
    made = timm.create_model("rednet26", features_only=True, out_indices=(1, 3)).eval()
    images = torch.randn(1, 3, 64, 64)
    maps = made(images)
    assert made.feature_info.channels() == [512, 2048] == [one.shape[1] for one in maps]
    assert made.feature_info.reduction() == [8, 32] == [64 // one.shape[2] for one in maps]
    whole = timm.create_model("rednet26").eval()
    whole.load_state_dict(made.model.state_dict())
    last, found = whole.forward_intermediates(images)
    torch.testing.assert_close(last, whole.forward_features(images))
    assert len(found) == 4
    torch.testing.assert_close(found[3], maps[1])


@needs_timm
def test_a_kept_folder_is_one_of_timms(timm: Any, kept: Path) -> None:
    made = timm.create_model(f"local-dir:{kept}", pretrained=True).eval()
    images = torch.randn(2, 1, 8, 8)
    assert torch.equal(made(images), load_network(kept)(images))
    config = json.loads((kept / "config.json").read_text())
    scale, known = config["normalisation"], made.pretrained_cfg
    white = scale["mean"][0] / known["mean"][0]
    assert white in (1, 16, 255) or pytest.approx(white) in (1, 16, 255)
    assert scale["deviation"][0] / known["std"][0] == pytest.approx(white)
    assert list(known["input_size"]) == [1, 8, 8]
    assert known["label_names"] == [str(digit) for digit in range(10)]


@needs_timm
def test_its_ends_are_adapted_and_its_features_taken(timm: Any, kept: Path) -> None:
    other = timm.create_model(f"local-dir:{kept}", pretrained=True, num_classes=5, in_chans=3)
    other.eval()
    assert other(torch.randn(2, 3, 8, 8)).shape == (2, 5)
    own = load_network(kept)
    same = {k: v for k, v in own.state_dict().items() if not k.startswith(("head.", "stem.0."))}
    assert all(torch.equal(other.state_dict()[name], value) for name, value in same.items())
    maps = timm.create_model(f"local-dir:{kept}", pretrained=True, features_only=True).eval()
    assert len(maps(torch.randn(1, 1, 8, 8))) == 4


@needs_timm
def test_a_network_of_timms_with_other_operators_goes_home_and_comes_back(
    timm: Any, tmp_path: Path
) -> None:
    from invsearch.metrics import Metric
    from invsearch.models import ModuleSpec
    from invsearch.models.replacement import Replacement
    from invsearch.models.timm_config import timm_entries
    from invsearch.takeaway.saved import config_of, save_network

    rules = (Replacement("*.conv_dw", "involution", (), 4),)
    spec = ModuleSpec("timm:test_convnext", replace=rules, num_classes=4)
    network = build_searched(spec).eval()
    origin = {"run": "r", "trial": 1, "architecture": {"fourth": "involution"}, "operators": []}
    metrics = {"top1": Metric("top1", 50.0, "trained")}
    config = config_of(origin, spec, 32, metrics=metrics, training={"dataset": "/a/photos"})
    config |= timm_entries(spec, config["input_shape"], None, ["a", "b", "c", "d"], 255.0)
    save_network(tmp_path, config, network.state_dict())
    images = torch.randn(2, 3, 32, 32)
    for made in (
        timm.create_model(f"local-dir:{tmp_path}", pretrained=True).eval(),
        load_network(tmp_path),
    ):
        assert torch.equal(made(images), network(images))
    assert "/a/" not in (tmp_path / "README.md").read_text(), "a path tells of one machine"


@needs_timm
def test_a_builders_module_is_found_in_the_folder(timm: Any, tmp_path: Path) -> None:
    from invsearch.models import ModuleSpec
    from invsearch.models.timm_config import timm_entries
    from invsearch.takeaway.saved import config_of, save_network

    (tmp_path / "own_nets.py").write_text(
        "from torch import nn\n"
        "def build(parameters, num_classes=3, in_channels=1):\n"
        "    layers = [nn.Conv2d(in_channels, 4, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()]\n"
        "    return nn.Sequential(*layers, nn.Linear(4, num_classes))\n"
    )
    spec = ModuleSpec("own_nets:build", num_classes=3, in_channels=1).at(tmp_path)
    network = build_searched(spec).eval()
    origin = {"run": "r", "trial": 1, "architecture": {}, "operators": []}
    config = config_of(origin, spec, 8, metrics={}, training={"dataset": "digits"})
    config |= timm_entries(spec, config["input_shape"], None, (), 255.0)
    save_network(tmp_path / "kept", config, network.state_dict())
    (tmp_path / "own_nets.py").unlink()
    del sys.modules["own_nets"]
    made = timm.create_model(f"local-dir:{tmp_path / 'kept'}", pretrained=True).eval()
    images = torch.randn(2, 1, 8, 8)
    assert torch.equal(made(images), network(images))


@needs_timm
def test_the_card_is_a_hubs(kept: Path) -> None:
    from huggingface_hub import ModelCard

    card = ModelCard((kept / "README.md").read_text())
    assert card.data.library_name == "timm"
    assert card.data.tags == ["image-classification", "invsearch", "timm"]
    for title in ("Metrics", "Training", "Intended use", "Licence"):
        assert f"\n## {title}\n" in card.text
    metrics = SavedNetwork.open(kept).metrics
    assert f"| params | {metrics['params'].value:,.0f} |  | counted |" in card.text
    assert "| trained |" in card.text


def test_what_an_older_version_kept_is_read(kept: Path, tmp_path: Path) -> None:
    """Its ``architecture`` was the mapping of the parameters, and it had no keys of timm's."""
    old = tmp_path / "old"
    shutil.copytree(kept, old)
    config = json.loads((kept / "config.json").read_text())
    new = ("model_args", "pretrained_cfg", "num_classes", "num_features", "global_pool")
    before = {key: value for key, value in config.items() if key not in (*new, "label_names")}
    before |= {"schema": 1, "architecture": before.pop("parameters")}
    (old / "config.json").write_text(dump_json(before))
    assert SavedNetwork.open(old).origin == SavedNetwork.open(kept).origin
    images = torch.randn(2, 1, 8, 8)
    assert torch.equal(load_network(old)(images), load_network(kept)(images))
    passed(invsearch(tmp_path, "evaluate", "old"))


def test_without_timm_it_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "timm.py").write_text("raise ModuleNotFoundError('no timm here', name='timm')\n")
    code = "import sys; sys.path.insert(0, '.'); import invsearch.timm"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    assert "pip install 'invsearch[timm]'" in result.stderr
