"""The released checkpoints' format, and equality with the released code's outputs."""

from __future__ import annotations

import json
import math
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from stage_outputs import stage_outputs
from torch import Tensor

from invsearch.errors import InputError
from invsearch.models import from_official, rednet

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
        (lambda s: _without(s, "head.fc.weight"), "head.fc.weight"),
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
