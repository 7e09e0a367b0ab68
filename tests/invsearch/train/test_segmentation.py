"""Segmentation: its metrics against oracles, its loss, and trainings that go on as they were."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, confusion_matrix, jaccard_score
from torch import Tensor, nn

from invsearch.accuracy.trained import Trained
from invsearch.data import IGNORED, ImageData, load_dataset
from invsearch.errors import InputError
from invsearch.metrics import KNOWN_METRICS
from invsearch.models import TaskSpec, build_segmenter, proxy_task, rednet_spec, segmenter_spec
from invsearch.train import Recipe, Trainer, seeded_build
from invsearch.train.step import Step
from invsearch.train.tasks import LEARNING_TASKS, SEGMENTATION
from invsearch.train.tasks.segmentation import judge_pixels

RECIPE = Recipe(epochs=2, batch_size=8, lr=0.02, augment=True)


@pytest.fixture(scope="module")
def data() -> ImageData:
    return load_dataset("digit_scenes", resolution=16, data_fraction=0.05)


def small(task: str = "semantic_fpn", operator: str = "convolution") -> TaskSpec:
    stages = [{"blocks": 1, "operator": operator, "kernel_size": 3}] * 4
    backbone = rednet_spec(None, stages=stages)
    spec = segmenter_spec(task, backbone, neck=operator, head=operator)
    return proxy_task(spec, width=0.125, stem_stride=2, num_classes=11, in_channels=1)


def trainer(data: ImageData, spec: TaskSpec, recipe: Recipe = RECIPE) -> Trainer:
    return Trainer(seeded_build(lambda: build_segmenter(spec), 0), data, recipe)


def boxes() -> ImageData:
    """A light and a dark box on a grey ground each, anywhere; the box's edge is of no class."""
    rng = torch.Generator().manual_seed(0)
    images = 0.3 * torch.randn(80, 1, 16, 16, generator=rng)
    masks = torch.zeros(80, 16, 16, dtype=torch.uint8)
    for image, mask in zip(images, masks, strict=True):
        for number, left in ((1, 0), (2, 8)):
            top, right = (int(v) for v in torch.randint(0, 8, (2,), generator=rng))
            place = np.s_[top : top + 8, left + right // 4 : left + 6 + right // 4]
            image[0][place] += 2.0 if number == 1 else -2.0
            mask[place] = IGNORED
            mask[place][1:-1, 1:-1] = number
    return ImageData(
        *(images[:64], masks[:64], images[64:], masks[64:]),
        num_classes=11,
        name="boxes",
        make_test=lambda: (images[64:], masks[64:]),
    )


class Fixed(nn.Module):
    """Puts out what it is given: the logits are the images."""

    def forward(self, images: Tensor) -> Tensor:
        return images


def one_hot(found: Tensor, classes: int) -> Tensor:
    """Logits (N, classes, H, W) by which these classes are found."""
    return 9.0 * nn.functional.one_hot(found, classes).movedim(-1, 1).float()


def batches(logits: Tensor, masks: Tensor, size: int = 3) -> Iterator[tuple[Tensor, Tensor]]:
    return zip(logits.split(size), masks.split(size), strict=True)


def test_a_confusion_matrix_by_hand() -> None:
    """Truth 0 0 1 1 1 and one pixel of no class; found 0 1 1 1 2, and 2 where nobody asks."""
    truth = torch.tensor([[[0, 0, 1, 1, 1, IGNORED]]], dtype=torch.uint8)
    found = torch.tensor([[[0, 1, 1, 1, 2, 2]]])
    metrics = judge_pixels(Fixed(), batches(one_hot(found, 5), truth))
    assert metrics["miou"].detail["iou"] == pytest.approx([50.0, 50.0, 0.0, None, None])
    assert metrics["miou"].value == pytest.approx(100 * (1 / 2 + 2 / 4 + 0) / 3)
    assert metrics["pixel_accuracy"].value == pytest.approx(60.0)
    assert metrics["miou"].low is None, "of one image there is no interval"


@pytest.mark.parametrize("seed", range(3))
def test_metrics_are_those_of_scikit_learn(seed: int) -> None:
    """Also of classes that are missing in the truth, in what was found, or in both."""
    rng = np.random.default_rng(seed)
    truth = torch.from_numpy(rng.integers(0, 6, (7, 5, 4)).astype(np.uint8))
    truth[torch.from_numpy(rng.random(truth.shape) < 0.2)] = IGNORED
    logits = torch.from_numpy(rng.normal(size=(7, 8, 5, 4))).float()
    logits[:, 2] -= 9
    metrics = judge_pixels(Fixed(), batches(logits, truth))
    there = (truth != IGNORED).numpy()
    mine, its = truth.numpy()[there], logits.argmax(1).numpy()[there]
    expected = 100 * jaccard_score(mine, its, average="macro")
    assert metrics["miou"].value == pytest.approx(expected)
    assert metrics["pixel_accuracy"].value == pytest.approx(100 * accuracy_score(mine, its))
    matrix = confusion_matrix(mine, its, labels=range(8))
    union = matrix.sum(0) + matrix.sum(1) - matrix.diagonal()
    pairs = zip(matrix.diagonal(), union, strict=True)
    shares = [100 * hit / every if every else None for hit, every in pairs]
    assert metrics["miou"].detail["iou"] == pytest.approx(shares)
    loss = nn.functional.cross_entropy(logits, truth.long(), ignore_index=IGNORED)
    assert metrics["val_loss"].value == pytest.approx(loss.item(), rel=1e-5)


def test_pixels_of_no_class_never_count() -> None:
    """Whatever is found there, and however sure."""
    rng = torch.Generator().manual_seed(0)
    truth = torch.randint(0, 3, (4, 6, 6), generator=rng)
    truth[:, :, 4:] = IGNORED
    logits = torch.randn(4, 3, 6, 6, generator=rng)
    other = logits.clone()
    other[:, :, :, 4:] = 50 * torch.randn(4, 3, 6, 2, generator=rng)
    assert judge_pixels(Fixed(), batches(logits, truth)) == judge_pixels(
        Fixed(), batches(other, truth)
    )
    losses = [SEGMENTATION.loss(some.requires_grad_(), truth, 0.1) for some in (logits, other)]
    torch.testing.assert_close(*losses)
    (gradient,) = torch.autograd.grad(losses[1], other)
    assert not gradient[:, :, :, 4:].any()


def test_what_is_perfect_is_100_and_what_is_not_finite_is_wrong() -> None:
    truth = torch.arange(3).repeat(4, 6, 2)[:, :, :6]
    logits = one_hot(truth, 3)
    metrics = judge_pixels(Fixed(), batches(logits, truth))
    assert metrics["miou"].value == metrics["pixel_accuracy"].value == 100.0
    logits[0, 0, 0, 0] = torch.nan
    spoilt = judge_pixels(Fixed(), batches(logits, truth))
    assert spoilt["pixel_accuracy"].value == pytest.approx(100 * (1 - 1 / truth.numel()))
    assert "val_loss" not in spoilt


def test_the_interval_is_of_the_spread_between_images() -> None:
    """Of 200 draws of images the figure's spread is what the interval of one draw says."""
    rng = torch.Generator().manual_seed(0)

    def drawn() -> dict[str, float]:
        easy = torch.rand(60, 1, 1, generator=rng)
        truth = torch.randint(0, 3, (60, 4, 4), generator=rng)
        right = torch.rand(60, 4, 4, generator=rng) < easy
        found = torch.where(right, truth, torch.randint(0, 3, truth.shape, generator=rng))
        metric = judge_pixels(Fixed(), batches(one_hot(found, 3), truth, 60))["miou"]
        return {"value": metric.value, "sigma": metric.sigma}

    draws = [drawn() for _ in range(200)]
    spread = float(np.std([draw["value"] for draw in draws]))
    told = float(np.mean([draw["sigma"] for draw in draws]))
    assert told == pytest.approx(spread, rel=0.2)


def test_logits_of_another_size_are_resized_to_the_masks() -> None:
    logits, truth = torch.randn(2, 3, 4, 4), torch.randint(0, 3, (2, 8, 8))
    whole = nn.functional.interpolate(logits, size=(8, 8), mode="bilinear", align_corners=False)
    assert judge_pixels(Fixed(), [(logits, truth)]) == judge_pixels(Fixed(), [(whole, truth)])


def test_without_a_pixel_of_a_class_there_is_no_figure_and_no_divergence() -> None:
    masks = torch.full((2, 4, 4), IGNORED)
    logits = torch.randn(2, 3, 4, 4, requires_grad=True)
    loss = SEGMENTATION.loss(logits, masks, 0.0)
    assert loss.item() == 0
    loss.backward()
    with pytest.raises(InputError, match="no pixel is of a class"):
        judge_pixels(Fixed(), [(logits, masks)])


def test_the_table_and_the_facts_agree() -> None:
    given = {name for task in LEARNING_TASKS.values() for name in task.metrics}
    assert given == set(Trained.metrics)
    for task in LEARNING_TASKS.values():
        for name in task.metrics:
            info = KNOWN_METRICS[name]
            assert info.kind == "accuracy"
            assert KNOWN_METRICS[info.test].direction == info.direction


@pytest.mark.parametrize(
    ("task", "operator"), [("semantic_fpn", "convolution"), ("upernet", "involution")]
)
def test_training_learns(task: str, operator: str) -> None:
    """Boxes are told from the ground and by their shade, on images that it was not trained on."""
    one = trainer(boxes(), small(task, operator), replace(RECIPE, epochs=6))
    assert one.task is SEGMENTATION
    while not one.done:
        one.train_epoch()
    after = one.evaluate()
    assert set(after) == set(SEGMENTATION.metrics)
    assert after["miou"].value > 70
    assert after["pixel_accuracy"].value > 90
    for metric in after.values():
        assert metric.low is not None
        assert metric.high is not None
        assert metric.low <= metric.value <= metric.high
        assert metric.fidelity == one.fidelity


def test_a_training_goes_on_bit_for_bit_and_its_weights_are_judged(
    data: ImageData, tmp_path: Path
) -> None:
    """With dropout, joint augmentation and the auxiliary head; then the test set, once."""
    whole, stopped = (trainer(data, small("upernet")) for _ in range(2))
    while not whole.done:
        whole.train_epoch()
    stopped.train_epoch()
    stopped.save(tmp_path / "checkpoint.pt")
    resumed = trainer(data, small("upernet"))
    resumed.load(tmp_path / "checkpoint.pt")
    resumed.train_epoch()
    weights = whole.weights()
    for name, value in resumed.weights().items():
        assert torch.equal(value, weights[name]), name
    assert resumed.evaluate() == whole.evaluate()
    judged = whole.test(weights)
    assert set(judged) == {"test_loss", "test_miou", "test_pixel_accuracy"}
    assert whole.test(weights) == judged


def test_streamed_images_and_masks_train_alike(data: ImageData) -> None:
    streamed = load_dataset("digit_scenes", resolution=16, data_fraction=0.05, stream=True)
    assert streamed.encoded is not None
    one, other = (trainer(some, small()) for some in (data, streamed))
    assert one.train_epoch() == other.train_epoch()
    assert one.evaluate() == other.evaluate()
    assert one.test(one.weights()) == other.test(other.weights())


def test_the_auxiliary_head_is_trained_too(data: ImageData) -> None:
    one = trainer(data, small("upernet"))
    before = {name: value.clone() for name, value in one.model.named_parameters()}
    one.train_epoch()
    unchanged = [n for n, value in one.model.named_parameters() if torch.equal(value, before[n])]
    assert unchanged == []


def test_a_segmenter_of_somebody_else_is_trained_and_judged(data: ImageData) -> None:
    """Any module from images to logits; here at half of the masks' size."""
    model = nn.Sequential(nn.Conv2d(1, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 11, 1))
    one = Trainer(model, data, RECIPE)
    one.train_epoch()
    assert set(one.evaluate()) == set(SEGMENTATION.metrics)


def test_parts_of_a_batch_add_up_to_its_gradient(data: ImageData) -> None:
    """Also where masks have more and fewer pixels of a class, and one has none."""
    model = nn.Conv2d(1, 11, 3, padding=1)
    images, masks = data.train_images[:8], data.train_labels[:8].clone()
    masks[:2] = IGNORED
    masks[2, 4:] = IGNORED
    gradients = []
    for parts in (1, 4):
        step = Step(model, replace(RECIPE, accumulate=parts), torch.device("cpu"), SEGMENTATION)
        step.model.zero_grad()
        step._gradient(images, masks)
        assert model.weight.grad is not None
        gradients.append(model.weight.grad.clone())
    torch.testing.assert_close(*gradients)
