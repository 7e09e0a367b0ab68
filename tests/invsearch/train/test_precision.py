"""Mixed precision: it learns, resumes bit for bit, and leaves weights and fp32 as they were."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from invsearch.data import load_dataset
from invsearch.errors import InputError
from invsearch.models import build, proxy_spec, rednet_spec
from invsearch.train import Recipe, Trainer, seeded_build
from invsearch.train.precision import computing_in

CPU = torch.device("cpu")


def linear() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))


def rednet() -> nn.Module:
    return build(proxy_spec(rednet_spec(26), width=0.125, num_classes=10, in_channels=1))


def trained(recipe: Recipe, seed: int = 0) -> Trainer:
    data = load_dataset("digits", data_fraction=0.3)
    return Trainer(seeded_build(linear, seed), data, recipe, seed)


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_low_precision_learns_what_fp32_learns(precision: str) -> None:
    recipe = Recipe.from_mapping({"epochs": 4, "batch_size": 32, "precision": precision})
    learner, exact = trained(recipe), trained(Recipe(epochs=4, batch_size=32))
    losses = [(learner.train_epoch(), exact.train_epoch()) for _ in range(4)]
    assert losses[-1][0] < 0.7 * losses[0][0]
    assert losses[-1][0] == pytest.approx(losses[-1][1], rel=0.1)
    assert not same(learner.model.state_dict(), exact.model.state_dict())
    assert {p.dtype for p in learner.model.parameters()} == {torch.float32}
    assert learner.evaluate()["top1"].value > 50


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_low_precision_resumes_bit_for_bit(precision: str, tmp_path: Path) -> None:
    recipe = Recipe.from_mapping({"epochs": 3, "batch_size": 32, "precision": precision})
    whole, part = trained(recipe), trained(recipe)
    for learner, epochs in ((whole, 3), (part, 2)):
        for _ in range(epochs):
            learner.train_epoch()
    part.save(tmp_path / "last.pt")
    resumed = trained(recipe)
    resumed.load(tmp_path / "last.pt")
    resumed.train_epoch()
    assert same(whole.model.state_dict(), resumed.model.state_dict())
    assert ("scaler" in whole.state_dict()) == (precision == "fp16")
    assert whole.state_dict().get("scaler") == resumed.state_dict().get("scaler")


def test_a_rednet_trains_in_bf16() -> None:
    data = load_dataset("digits", data_fraction=0.1)
    recipe = Recipe(epochs=2, batch_size=32, precision="bf16")
    learner = Trainer(seeded_build(rednet, 0), data, recipe)
    assert learner.train_epoch() > learner.train_epoch()
    assert "error" in learner.evaluate()


def test_fp32_is_no_autocast() -> None:
    with computing_in("fp32", CPU):
        assert not torch.is_autocast_enabled("cpu")
    with computing_in("bf16", CPU):
        assert torch.get_autocast_dtype("cpu") is torch.bfloat16


def test_a_checkpoint_from_before_there_were_precisions_is_read() -> None:
    learner = trained(Recipe(epochs=2, batch_size=32))
    state = learner.state_dict()
    for name in ("precision", "compile", "cutout"):
        del state["recipe"][name]
    learner.load_state_dict(state)
    with pytest.raises(InputError, match="checkpoint has recipe"):
        trained(Recipe(epochs=2, batch_size=32, precision="bf16")).load_state_dict(state)


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(InputError, match="precision 'bf61' is none of fp32, bf16, fp16.*'bf16'"):
        Recipe.from_mapping({"precision": "bf61"})
