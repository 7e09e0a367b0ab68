"""Detectors: raw predictions, any operator anywhere, frozen stages, boxes."""

from __future__ import annotations

import json

import pytest
import torch

from invsearch.errors import InputError
from invsearch.models import rednet_spec, resnet_spec
from invsearch.models.anchors import anchors, decode
from invsearch.models.detectors import DenseBoxes, Masks, RegionBoxes, build_detector
from invsearch.models.network import NetworkSpec
from invsearch.models.task import DETECTORS, TaskSpec, detector_spec

CLASSES = 5
SETTINGS = {"width": 0.25, "group_channels": 8, "head_channels": 8}


def backbone(operator: str) -> NetworkSpec:
    return rednet_spec(26, operator=operator, **SETTINGS)


def small(task: str, operator: str = "convolution") -> TaskSpec:
    return detector_spec(
        task,
        backbone(operator),
        neck=operator,
        head=operator,
        num_classes=CLASSES,
        channels=32,
    )


@pytest.mark.parametrize("operator", ["convolution", "involution", "self_attention"])
@pytest.mark.parametrize("task", DETECTORS)
def test_raw_predictions(task: str, operator: str) -> None:
    """Every detector runs on the CPU with any operator in backbone, neck and head."""
    torch.manual_seed(0)
    detector = build_detector(small(task, operator), regions=12, mask_regions=4).eval()
    images = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        output = detector(images)
    if isinstance(output, DenseBoxes):
        sizes = [(8, 12), (4, 6), (2, 3), (1, 2), (1, 1)]
        assert [tuple(x.shape) for x in output.logits] == [(2, 9 * CLASSES, *s) for s in sizes]
        assert [tuple(x.shape) for x in output.deltas] == [(2, 36, *s) for s in sizes]
        return
    boxes = output if isinstance(output, RegionBoxes) else output.boxes
    sizes = [(16, 24), (8, 12), (4, 6), (2, 3), (1, 2)]
    assert [tuple(x.shape) for x in boxes.objectness] == [(2, 3, *s) for s in sizes]
    assert [tuple(x.shape) for x in boxes.anchor_deltas] == [(2, 12, *s) for s in sizes]
    assert boxes.proposals.shape == (2, 12, 4)
    assert boxes.logits.shape == (2, 12, CLASSES + 1)
    assert boxes.deltas.shape == (2, 12, CLASSES, 4)
    corner, opposite = boxes.proposals.split(2, dim=-1)
    assert (corner >= 0).all()
    assert (corner <= opposite).all()
    assert (opposite <= torch.tensor([96, 64])).all()
    assert isinstance(output, Masks) == (task == "mask_rcnn")
    if isinstance(output, Masks):
        assert output.regions.shape == (2, 4, 4)
        assert output.mask_logits.shape == (2, 4, CLASSES, 28, 28)
        assert output.mask_logits.isfinite().all()


def test_a_resnet_backbone_runs() -> None:
    """The baseline of every table."""
    spec = detector_spec("faster_rcnn", resnet_spec(26, width=0.25), num_classes=2, channels=16)
    output = build_detector(spec, regions=5)(torch.randn(1, 3, 33, 47))
    assert isinstance(output, RegionBoxes)
    assert output.logits.shape == (1, 5, 3)


def test_losses_reach_every_trained_weight() -> None:
    """Raw predictions carry gradients to all that is not frozen."""
    torch.manual_seed(0)
    detector = build_detector(small("mask_rcnn"), regions=8, mask_regions=3)
    output = detector(torch.randn(2, 3, 64, 64))
    assert isinstance(output, Masks)
    boxes = output.boxes
    parts = (*boxes.objectness, *boxes.anchor_deltas, boxes.logits, boxes.deltas)
    torch.stack([x.square().mean() for x in (*parts, output.mask_logits)]).sum().backward()
    for name, weight in detector.named_parameters():
        assert (weight.grad is not None) == weight.requires_grad, name


def test_frozen_stages_stay_frozen() -> None:
    """Stem and first stage: no gradients, and eval mode also while the rest trains."""
    frozen = build_detector(small("retinanet")).train().backbone
    assert not any(
        p.requires_grad for p in [*frozen.stem.parameters(), *frozen.stages[0].parameters()]
    )
    assert all(p.requires_grad for p in frozen.stages[1].parameters())
    assert [part.training for part in (frozen.stem, *frozen.stages)] == [False] * 2 + [True] * 3


def test_a_spec_survives_json() -> None:
    """Worker processes get it as text."""
    spec = small("mask_rcnn", "involution")
    assert TaskSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec


@pytest.mark.parametrize(
    ("task", "neck", "word"),
    [("mask-rcnn", "convolution", "mask_rcnn"), ("retinanet", "involutoin", "involution")],
)
def test_unknown_names_are_input_errors(task: str, neck: str, word: str) -> None:
    with pytest.raises(InputError, match=f"did you mean '{word}'"):
        detector_spec(task, backbone("convolution"), neck=neck)


def test_anchors_are_centred_on_their_cells() -> None:
    """Order: row, column, ratio; areas are those asked for."""
    boxes = anchors(2, 3, 16, sizes=(32.0,)).view(2, 3, 3, 4)
    centres = (boxes[..., :2] + boxes[..., 2:]) / 2
    assert centres[1, 2].tolist() == [[32.0, 16.0]] * 3
    sizes = boxes[..., 2:] - boxes[..., :2]
    torch.testing.assert_close(sizes.prod(-1), torch.full((2, 3, 3), 1024.0))
    torch.testing.assert_close((sizes[0, 0, :, 1] / sizes[0, 0, :, 0]), torch.tensor([0.5, 1, 2]))


def test_offsets_move_boxes_and_the_image_clips_them() -> None:
    box = torch.tensor([[10.0, 10.0, 30.0, 20.0]])
    assert decode(box, torch.zeros(1, 4), 100, 100).tolist() == box.tolist()
    shifted = decode(box, torch.tensor([[0.5, -0.5, 0.0, 0.0]]), 100, 100)
    assert shifted.tolist() == [[20.0, 5.0, 40.0, 15.0]]
    huge = decode(box, torch.tensor([[0.0, 0.0, 9.0, 9.0]]), 50, 60)
    assert huge.tolist() == [[0.0, 0.0, 60.0, 50.0]]
