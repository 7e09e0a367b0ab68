"""Segmenters: any operator anywhere, and they train."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from invsearch.errors import InputError
from invsearch.models import rednet_spec, resnet_spec
from invsearch.models.segmenters import build_segmenter
from invsearch.models.task import SEGMENTERS, TaskSpec, detector_spec, segmenter_spec

SETTINGS = {"width": 0.25, "group_channels": 8, "head_channels": 8}


def small(task: str, operator: str, num_classes: int) -> TaskSpec:
    backbone = rednet_spec(26, operator=operator, **SETTINGS)
    return segmenter_spec(
        task,
        backbone,
        neck=operator,
        head=operator,
        num_classes=num_classes,
        channels=32,
        head_channels=32,
    )


@pytest.mark.parametrize("operator", ["convolution", "involution", "self_attention"])
@pytest.mark.parametrize("task", SEGMENTERS)
def test_logits_have_the_size_of_the_image(task: str, operator: str) -> None:
    """Also for sizes that no stride divides."""
    segmenter = build_segmenter(small(task, operator, 4)).eval()
    with torch.no_grad():
        logits = segmenter(torch.randn(1, 3, 70, 93))
    assert logits.shape == (1, 4, 70, 93)
    assert logits.isfinite().all()


@pytest.mark.parametrize("task", SEGMENTERS)
def test_the_baseline_runs(task: str) -> None:
    """ResNet with the deep stem."""
    backbone = resnet_spec(26, deep_stem=True, width=0.25)
    spec = segmenter_spec(task, backbone, num_classes=3, channels=16, head_channels=16)
    assert build_segmenter(spec)(torch.randn(2, 3, 64, 64)).shape == (2, 3, 64, 64)


def digit_scenes(number: int) -> tuple[Tensor, Tensor]:
    """Pictures of four digits each, with the class of every inked pixel; 0 is background."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    rng = np.random.default_rng(0)
    images, labels = np.zeros((number, 3, 64, 64)), np.zeros((number, 64, 64), dtype=np.int64)
    for scene in range(number):
        for top, left in ((0, 0), (0, 32), (32, 0), (32, 32)):
            index = rng.integers(len(digits.images))
            ink = digits.images[index].repeat(4, 0).repeat(4, 1) / 16
            images[scene, :, top : top + 32, left : left + 32] = ink
            place = labels[scene, top : top + 32, left : left + 32]
            place[ink > 0.4] = 1 + digits.target[index] % 3
    labels[:, :, -2:] = 255
    return torch.from_numpy(images).float() * 2 - 1, torch.from_numpy(labels)


@pytest.mark.parametrize("task", SEGMENTERS)
def test_a_small_real_batch_is_overfitted(task: str) -> None:
    """Backbone, neck, head and loss work together: pixels of real digits are told by class."""
    torch.manual_seed(0)
    images, labels = digit_scenes(3)
    segmenter = build_segmenter(small(task, "involution", 4)).train()
    optimizer = torch.optim.AdamW(segmenter.parameters(), lr=5e-3)
    first, correct = segmenter.loss(images, labels).item(), 0.0
    for step in range(1, 121):
        loss = segmenter.loss(images, labels)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(segmenter.parameters(), 5.0)
        optimizer.step()
        if step % 10 == 0:
            correct = accuracy(segmenter, images, labels)
            if correct > 0.9:
                break
    assert correct > 0.9
    assert loss.item() < 0.4 * first


def accuracy(segmenter: torch.nn.Module, images: Tensor, labels: Tensor) -> float:
    """Of the inked pixels: background alone would score above a half."""
    with torch.no_grad():
        found = segmenter(images).argmax(1)
    inked = (labels > 0) & (labels != 255)
    return float((found == labels)[inked].float().mean())


def test_the_auxiliary_head_is_for_training_alone() -> None:
    """It adds to the loss and gets gradients; the logits do not depend on it."""
    torch.manual_seed(0)
    segmenter = build_segmenter(small("upernet", "convolution", 4)).eval()
    images = torch.randn(1, 3, 64, 64)
    before = segmenter(images)
    segmenter.loss(images, torch.zeros(1, 64, 64, dtype=torch.int64)).backward()
    head = segmenter.auxiliary_head
    assert isinstance(head, torch.nn.Module)
    assert all(p.grad is not None for p in head.parameters())
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.fill_(torch.nan)
    torch.testing.assert_close(segmenter(images), before)


def test_a_detector_is_no_segmenter() -> None:
    with pytest.raises(InputError, match="no segmenter"):
        build_segmenter(detector_spec("retinanet", rednet_spec(26)))
