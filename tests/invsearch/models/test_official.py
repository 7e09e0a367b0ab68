"""The released checkpoints' format, and equality with the released code's outputs."""

from __future__ import annotations

import argparse
import json
import math
import pickle
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from stage_outputs import stage_outputs
from torch import Tensor

from invsearch.errors import InputError
from invsearch.models import Network, from_official, rednet

PARITY = Path(__file__).parents[2] / "fixtures" / "parity"
STEM_SPAN = "backbone.stem.1.conv2.conv.weight"
FIXTURES = ("rednet26_stem3", "rednet50_stem3", "rednet50_stem7")


def generated(key: str, shape: list[int]) -> Tensor:
    """The fixture's weight for a key, by the rule of facts/paper.md."""
    rng = np.random.default_rng(zlib.crc32(key.encode()))
    if key.endswith("num_batches_tracked"):
        return torch.tensor(0)
    if key.endswith("running_var"):
        array = rng.uniform(0.5, 1.5, shape)
    elif key.endswith("running_mean"):
        array = 0.1 * rng.standard_normal(shape)
    elif len(shape) == 1:
        array = 0.1 * rng.standard_normal(shape) + (1 if key.endswith("weight") else 0)
    else:
        array = rng.standard_normal(shape) * math.sqrt(1 / math.prod(shape[1:]))
    return torch.from_numpy(array.astype(np.float32))


def checkpoint(name: str) -> dict[str, Tensor]:
    shapes = json.loads((PARITY / f"{name}.keys.json").read_text())
    return {key: generated(key, shape) for key, shape in shapes.items()}


@pytest.mark.parametrize("name", FIXTURES)
def test_released_outputs_are_reproduced(name: str) -> None:
    """Weights of the released layout give the released code's numbers, in train mode."""
    expected = np.load(PARITY / f"{name}.npz")
    network = from_official({"state_dict": checkpoint(name), "meta": {}}).double().train()
    rng = np.random.default_rng(int(expected["input_seed"]))
    images = rng.standard_normal(tuple(expected["input_shape"])).astype(np.float32)
    with torch.no_grad():
        features = stage_outputs(network, torch.from_numpy(images).double())
        logits = network.head(network.pool(features[-1]).flatten(1))
    for i, feature in enumerate(features, start=1):
        mean = feature.mean((2, 3)).numpy()
        np.testing.assert_allclose(mean, expected[f"stage{i}_mean"], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(features[-1].numpy(), expected["stage4"], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(logits.numpy(), expected["logits"], rtol=1e-4, atol=1e-6)


def test_depth_and_stem_are_inferred_from_a_bare_dict() -> None:
    """No argument says what the checkpoint is: its keys and shapes do."""
    network = from_official(checkpoint("rednet26_stem3"))
    assert network.spec == rednet(26, stem_kernel_size=3).spec


def test_checkpoint_files(tmp_path: Path) -> None:
    """A .pth (weights only) and a .safetensors file load to the same network."""
    from safetensors.torch import save_file

    state = checkpoint("rednet26_stem3")
    torch.save({"state_dict": state, "meta": {"epoch": 130}}, tmp_path / "a.pth")
    save_file(state, tmp_path / "a.safetensors")
    first, second = (from_official(tmp_path / name) for name in ("a.pth", "a.safetensors"))
    for key, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[key])


def _without(state: dict[str, Tensor], key: str) -> dict[str, Tensor]:
    return {k: v for k, v in state.items() if k != key}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: {}, "no released RedNet"),
        (lambda s: {"conv1.weight": torch.zeros(64, 3, 7, 7)}, "conv1.weight"),
        (lambda s: _without(s, "head.fc.weight"), "head.fc.bias"),
        (lambda s: _without(s, "head.fc.bias"), "head.bias"),
        (lambda s: None, "the checkpoint is None: give a state dict"),
        (lambda s: _without(s, "backbone.layer2.0.bn1.bias"), "stages.1.0.bn1.bias"),
        (lambda s: {**s, "neck.weight": torch.zeros(1)}, "neck.weight"),
        (lambda s: {**s, STEM_SPAN: torch.zeros(20, 8, 1, 1)}, "no odd K"),
        (lambda s: {**s, "backbone.layer1.0.bn1.bias": torch.zeros(3)}, r"expected \(64,\)"),
        (lambda s: {**s, "backbone.layer1.0.bn1.bias": 3}, "is int"),
        (lambda s: {"state_dict": 3}, "not a dict"),
    ],
)
def test_foreign_dicts_are_refused_in_one_line(change, message: str) -> None:
    """What is no RedNet checkpoint is named by the first thing that does not fit."""
    with pytest.raises(InputError, match=message) as caught:
        from_official(change(checkpoint("rednet26_stem3")))
    assert "\n" not in str(caught.value)


def test_unreadable_files_are_refused_in_one_line(tmp_path: Path) -> None:
    """A missing file and one that is no checkpoint."""
    (tmp_path / "b.pth").write_text("no checkpoint")
    for name in ("missing.pth", "missing.safetensors", "b.pth"):
        with pytest.raises(InputError, match=name) as caught:
            from_official(tmp_path / name)
        assert "\n" not in str(caught.value)


def same(network: Network, state: dict[str, Tensor]) -> bool:
    expected = from_official(state).state_dict()
    return all(torch.equal(value, expected[key]) for key, value in network.state_dict().items())


def prefixed(prefix: str) -> Callable[[dict[str, Tensor]], dict[str, Tensor]]:
    return lambda state: {prefix + key: value for key, value in state.items()}


WRAPPINGS = {
    "ddp": prefixed("module."),
    "compiled": prefixed("_orig_mod."),
    "compiled ddp": prefixed("module._orig_mod."),
    "ddp compiled": prefixed("_orig_mod.module."),
    "twice": prefixed("module.module._orig_mod."),
    "fsdp": prefixed("_fsdp_wrapped_module."),
    "lightning": prefixed("model."),
    "a part compiled": lambda s: {k.replace("backbone.", "backbone._orig_mod."): v
                                  for k, v in s.items()},
    "model": lambda s: {"model": s, "optimizer": {}, "epoch": 3},
    "ema": lambda s: {"ema": s, "epoch": 3},
    "model_ema": lambda s: {"model": {"x": torch.zeros(1)}, "model_ema": prefixed("module.")(s)},
    "nested": lambda s: {"model": {"state_dict": prefixed("_orig_mod.")(s)}},
    "averaged": lambda s: {"n_averaged": torch.tensor(3), **prefixed("module.")(s)},
}  # fmt: skip


@pytest.mark.parametrize("wrap", WRAPPINGS.values(), ids=list(WRAPPINGS))
def test_wrappers_are_taken_off(wrap, caplog: pytest.LogCaptureFixture) -> None:
    """Of keys and of files, in any order and nesting."""
    state = checkpoint("rednet26_stem3")
    assert same(from_official(wrap(state)), state)
    assert not caplog.records


@pytest.mark.parametrize("prefix", ["backbone.", "", "module."])
def test_a_backbone_alone_gives_features(prefix: str, caplog: pytest.LogCaptureFixture) -> None:
    state = checkpoint("rednet26_stem3")
    body = {
        prefix + key.removeprefix("backbone."): value
        for key, value in state.items()
        if not key.startswith("head.")
    }
    network = from_official(body)
    assert same(network, state)
    assert network.num_classes == 0
    assert "no head" in caplog.text
    assert from_official(body, num_classes=3).head.out_features == 3
    assert "freshly initialised" in caplog.text


def test_another_number_of_classes_keeps_the_body(caplog: pytest.LogCaptureFixture) -> None:
    """For fine-tuning: the network has its own number, and what is not trained is said."""
    state = checkpoint("rednet26_stem3")
    network = from_official(state, num_classes=10)
    assert network.num_classes == network.head.out_features == 10
    assert torch.equal(network.stem[0].weight, state["backbone.stem.0.conv.weight"])
    assert "a head of 1000 classes" in caplog.text
    caplog.clear()
    assert from_official(state, num_classes=0).num_classes == 0
    assert same(from_official(state, num_classes=1000), state)
    assert not caplog.records
    fewer = {**state, "head.fc.weight": torch.zeros(7, 2048), "head.fc.bias": torch.zeros(7)}
    assert from_official(fewer).num_classes == 7
    with pytest.raises(InputError, match="num_classes is '10'"):
        from_official(state, num_classes="10")


@pytest.mark.parametrize("form", ["zip", "legacy", "pickle"])
def test_what_is_not_unpickled_is_named(tmp_path: Path, form: str) -> None:
    """The file, the global, the way out, in one line; nothing of it has run."""
    path, data = tmp_path / "old.pth", {"state_dict": {}, "args": argparse.Namespace(lr=0.1)}
    if form == "pickle":
        path.write_bytes(pickle.dumps(data))
    else:
        torch.save(data, path, _use_new_zipfile_serialization=form == "zip")
    with pytest.raises(InputError, match=r"old\.pth: holds argparse\.Namespace") as caught:
        from_official(path)
    assert "weights_only=False" in str(caught.value)
    assert "\n" not in str(caught.value)
