"""Detectors and segmenters: closed backbone plus cached rest equals the counted module."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from invsearch.cost import module_macs, task_layers, trace_macs
from invsearch.cost.meta_trace import meta_macs
from invsearch.cost.task_count import build_task, task_count, task_size
from invsearch.errors import CheckError
from invsearch.models import rednet_spec, resnet_spec
from invsearch.models.task import (
    DETECTORS,
    SEGMENTERS,
    TASKS,
    TaskSpec,
    detector_spec,
    segmenter_spec,
)

OPERATORS = ("convolution", "involution", "self_attention")


def make(task: str, neck: str, head: str, depth: int | None = 26, **settings: object) -> TaskSpec:
    backbone = rednet_spec(depth, width=0.25, group_channels=8, head_channels=8, **settings)
    if task in DETECTORS:
        return detector_spec(task, backbone, neck=neck, head=head, num_classes=4, channels=16)
    return segmenter_spec(
        task, backbone, neck=neck, head=head, num_classes=4, channels=32, head_channels=16
    )


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("task", TASKS)
def test_counting_without_computing_equals_fvcore(task: str, operator: str) -> None:
    """The paper's sizes are too large to trace; small ones show that the two counts are one."""
    module = build_task(make(task, operator, operator, operator=operator))
    if task in DETECTORS and task != "retinanet":
        module.regions, module.mask_regions = 9, 4  # type: ignore[assignment]
    shape = (1, 3, 64, 96)
    assert meta_macs(module, shape) == trace_macs(module, shape)


@settings(deadline=None, max_examples=8)
@given(
    task=st.sampled_from(TASKS),
    neck=st.sampled_from(OPERATORS),
    head=st.sampled_from(OPERATORS),
    kernel_size=st.sampled_from((3, 5, 7)),
    operator=st.sampled_from(OPERATORS),
    blocks=st.tuples(*[st.integers(1, 3)] * 4),
)
def test_the_cached_count_equals_the_modules(
    task: str, neck: str, head: str, kernel_size: int, operator: str, blocks: tuple[int, ...]
) -> None:
    """Params and both conventions, at the paper's sizes, for any operators and depths."""
    stages = [{"blocks": n, "kernel_size": kernel_size, "operator": operator} for n in blocks]
    spec = make(task, neck, head, None, stages=stages)
    with torch.device("meta"):
        module = build_task(spec)
    shape = (1, 3, *task_size(task))
    trained = sum(p.numel() for p in module.parameters() if p.requires_grad)
    assert task_count(spec).params == trained
    assert task_count(spec).macs == meta_macs(module, shape)
    assert task_count(spec, convention="paper").macs == module_macs(module, shape)


@pytest.mark.parametrize("task", SEGMENTERS)
def test_deep_stem_and_other_sizes(task: str) -> None:
    """The baseline of the segmentation table, at a size that is not the paper's."""
    spec = segmenter_spec(task, resnet_spec(26, deep_stem=True, width=0.5), neck="involution")
    with torch.device("meta"):
        module = build_task(spec)
    counted = task_count(spec, resolution=(96, 160), convention="paper")
    assert counted.macs == module_macs(module, (1, 3, 96, 160))


def test_bytes_of_a_detectors_layers() -> None:
    """Every call counts, frozen weights too; interpolations are the last row."""
    spec = make("retinanet", "convolution", "convolution")
    rows = {row.name: row for row in task_layers(spec, (64, 96))}
    conv = rows["backbone.stem.conv3"]
    assert conv.params == 0
    assert conv.bytes == 4 * (8 * 16 * 9 + 2 * 16 + (8 + 16) * 32 * 48)
    assert rows["functional"].bytes == 4 * 16 * ((2 * 3 + 4 * 6) + (4 * 6 + 8 * 12))
    lateral = rows["neck.laterals.2"]
    weights = lateral.params
    assert lateral.bytes == 4 * (weights + 2 * 3 * (512 + 16))


class Unfolded(torch.nn.Module):
    """A window sum that no handle counts."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.unfold(x, 3).sum(1)


def test_what_nothing_counts_is_refused() -> None:
    """An unfold involution must not score 0 here either."""
    with pytest.raises(CheckError, match="im2col"):
        meta_macs(Unfolded(), (1, 3, 8, 8))
