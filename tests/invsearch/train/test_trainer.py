"""Training: deterministic per seed, undisturbed by evaluation, resumed bit for bit."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from invsearch.data import ImageData, Scale, load_dataset
from invsearch.errors import InputError, TrialError
from invsearch.train import Recipe, Trainer, seeded_build

SHORT = Recipe(epochs=4, batch_size=32)


def net(channels: int = 1, classes: int = 10) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(channels, 8, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, padding=1),
        nn.Dropout(0.1),
        nn.Flatten(),
        nn.Linear(128, classes),
    )


@pytest.fixture(scope="module")
def data() -> ImageData:
    return load_dataset("digits", data_fraction=0.2)


def trainer(data: ImageData, seed: int = 0, recipe: Recipe = SHORT) -> Trainer:
    return Trainer(seeded_build(net, seed), data, recipe, seed)


def train(trainer: Trainer, epochs: int) -> list[float]:
    return [trainer.train_epoch() for _ in range(epochs)]


def weights(trainer: Trainer) -> list[Tensor]:
    return [value.clone() for value in trainer.model.state_dict().values()]


def same(a: list[Tensor], b: list[Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_it_learns_real_digits(optimizer: str) -> None:
    recipe = Recipe.from_mapping({"epochs": 5, "optimizer": optimizer, "lr": 0.02})
    learner = trainer(load_dataset("digits"), recipe=recipe)
    losses = train(learner, 5)
    metrics = learner.evaluate()
    assert losses[-1] < 0.5 * losses[0]
    assert metrics["top1"].value > 90


def test_one_seed_gives_one_training_and_another_seed_another(data: ImageData) -> None:
    first, second, other = trainer(data), trainer(data), trainer(data, seed=1)
    assert train(first, 2) == train(second, 2)
    train(other, 2)
    assert same(weights(first), weights(second))
    assert not same(weights(first), weights(other))


def test_training_and_building_leave_the_global_generator_alone(data: ImageData) -> None:
    before = torch.get_rng_state()
    learner = trainer(data)
    train(learner, 1)
    learner.evaluate()
    assert torch.equal(before, torch.get_rng_state())


def test_a_used_global_generator_changes_nothing(data: ImageData) -> None:
    first = trainer(data)
    train(first, 1)
    torch.rand(7)
    second = trainer(data)
    train(second, 1)
    assert same(weights(first), weights(second))


@pytest.mark.parametrize(
    "recipe",
    [SHORT, Recipe(epochs=4, batch_size=32, optimizer="sgd", lr=0.05, augment=True)],
    ids=["adamw", "sgd-augmented"],
)
def test_a_resumed_training_is_the_uninterrupted_one(
    data: ImageData, tmp_path: Path, recipe: Recipe
) -> None:
    whole = trainer(data, recipe=recipe)
    train(whole, 4)
    part = trainer(data, recipe=recipe)
    train(part, 2)
    part.evaluate()
    part.save(tmp_path / "deep" / "last.pt")
    resumed = Trainer(seeded_build(net, 99), data, recipe, 0)
    resumed.load(tmp_path / "deep" / "last.pt")
    assert resumed.epoch == 2
    train(resumed, 2)
    assert same(weights(whole), weights(resumed))
    assert {n: m.value for n, m in whole.evaluate().items()} == {
        n: m.value for n, m in resumed.evaluate().items()
    }


def test_evaluating_does_not_disturb_training(data: ImageData) -> None:
    quiet, watched = trainer(data), trainer(data)
    for _ in range(2):
        assert quiet.train_epoch() == watched.train_epoch()
        watched.evaluate()
    assert same(weights(quiet), weights(watched))
    assert all(module.training for module in watched.model.modules())


def test_metrics_carry_fidelity_interval_and_source(data: ImageData) -> None:
    learner = Trainer(seeded_build(net, 0), data, SHORT, 0, width=0.25)
    learner.train_epoch()
    metrics = learner.evaluate()
    assert set(metrics) == {"val_loss", "error", "top1"}
    for metric in metrics.values():
        assert metric.source == "trained"
        assert metric.low is not None
        assert metric.high is not None
        assert metric.low < metric.value < metric.high
        fidelity = metric.fidelity
        assert fidelity is not None
        assert (fidelity.epochs, fidelity.max_epochs, fidelity.resolution) == (1, 4, 8)
        assert (fidelity.width, fidelity.data_fraction, fidelity.dataset) == (0.25, 0.2, "digits")
        assert not fidelity.full
    assert metrics["top1"].value == pytest.approx(100 - metrics["error"].value)


class Broken(nn.Module):
    """A network whose logits become nan once its third training step has been taken."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(64, 10)
        self.calls = 0

    def forward(self, images: Tensor) -> Tensor:
        self.calls += self.training
        logits: Tensor = self.linear(images.flatten(1))
        return logits * float("nan") if self.calls > 10 else logits


def test_a_nan_training_loss_names_epoch_and_step(data: ImageData) -> None:
    learner = Trainer(Broken(), data, SHORT, 0)
    assert learner.steps_per_epoch == 8
    learner.train_epoch()
    with pytest.raises(TrialError, match=r"^training loss is nan at epoch 2, step 3 "):
        learner.train_epoch()


class BlindInEvaluation(nn.Linear):
    def forward(self, images: Tensor) -> Tensor:
        logits = super().forward(images.flatten(1))
        return logits if self.training else logits * float("inf")


def test_only_a_final_validation_loss_that_is_not_finite_fails(data: ImageData) -> None:
    learner = Trainer(BlindInEvaluation(64, 10), data, Recipe(epochs=2), 0)
    learner.train_epoch()
    early = learner.evaluate()
    assert set(early) == {"error", "top1"}
    assert early["error"].value == 100
    learner.train_epoch()
    with pytest.raises(TrialError, match="validation loss is not finite after the last epoch"):
        learner.evaluate()


def test_training_past_the_recipe_is_refused(data: ImageData) -> None:
    learner = trainer(data, recipe=Recipe(epochs=1))
    learner.train_epoch()
    assert learner.done
    with pytest.raises(RuntimeError, match="all 1 epochs"):
        learner.train_epoch()


def test_the_gradient_is_clipped(data: ImageData) -> None:
    """With plain gradient descent a step is no longer than rate x clip."""
    recipe = Recipe(epochs=1, batch_size=259, optimizer="sgd", lr=1.0, weight_decay=0.0, warmup=0.0)
    tight = Recipe(**{**vars(recipe), "clip": 1e-3})
    learner = trainer(data, recipe=tight)
    before = [p.detach().clone() for p in learner.model.parameters()]
    learner.train_epoch()
    after = list(learner.model.parameters())
    moved = torch.stack([(a - b).norm() for a, b in zip(after, before, strict=True)]).norm()
    assert 0 < moved <= 1.9e-3 + 1e-6  # Nesterov's first step is 1.9 gradients


def test_fewer_images_than_a_batch_are_one_step(data: ImageData) -> None:
    few = ImageData(
        data.train_images[:5], data.train_labels[:5], data.val_images, data.val_labels, 10, "few"
    )
    learner = trainer(few)
    assert learner.steps_per_epoch == 1
    learner.train_epoch()
    assert "val_loss" in learner.evaluate()


def test_a_checkpoint_of_another_training_is_refused(data: ImageData, tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    trainer(data).save(path)
    with pytest.raises(InputError, match="checkpoint has seed 0, this trial 1"):
        trainer(data, seed=1).load(path)
    with pytest.raises(InputError, match="checkpoint has recipe"):
        trainer(data, recipe=Recipe(epochs=9)).load(path)
    with pytest.raises(InputError, match="does not fit the model"):
        Trainer(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), data, SHORT, 0).load(path)


@pytest.mark.parametrize("content", [None, b"", b"junk", b"\x80\x04."])
def test_an_unreadable_checkpoint_is_one_line(
    data: ImageData, tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "last.pt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"last\.pt: not a readable checkpoint"):
        trainer(data).load(path)


def test_a_truncated_checkpoint_is_refused_and_saving_leaves_no_partial_file(
    data: ImageData, tmp_path: Path
) -> None:
    path = tmp_path / "last.pt"
    learner = trainer(data)
    learner.save(path)
    learner.save(path)
    assert [file.name for file in tmp_path.iterdir()] == ["last.pt"]
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError, match="not a readable checkpoint"):
        learner.load(path)


def test_pixels_train_as_the_normalised_images_do(data: ImageData) -> None:
    pixels = (data.train_images * 20 + 128).clamp(0, 255).to(torch.uint8)
    val = (data.val_images * 20 + 128).clamp(0, 255).to(torch.uint8)
    scale = Scale.of(pixels)
    raw = replace(data, train_images=pixels, val_images=val, scale=scale)
    ready = replace(data, train_images=scale(pixels), val_images=scale(val))
    recipe = Recipe(epochs=2, batch_size=32, augment=True, cutout=0.25)
    first, second = trainer(raw, recipe=recipe), trainer(ready, recipe=recipe)
    assert train(first, 2) == train(second, 2)
    assert same(weights(first), weights(second))
    assert first.evaluate()["val_loss"].value == second.evaluate()["val_loss"].value


def test_scores_are_what_the_metrics_are_made_of(data: ImageData) -> None:
    learner = trainer(data)
    train(learner, 1)
    losses, hits = learner.score(data.val_images, data.val_labels)
    metrics = learner.evaluate()
    assert metrics["val_loss"].value == pytest.approx(float(losses.mean()))
    assert metrics["top1"].value == pytest.approx(100 * float(hits.double().mean()))
