"""The shapes that are benchmarked are those of the network."""

from __future__ import annotations

import torch

import ops
from invsearch.bench.shapes import REDNET50
from invsearch.models import rednet


def test_shapes_are_the_involutions_of_rednet50() -> None:
    with torch.device("meta"):
        network = rednet(50, stem_kernel_size=3).eval()
    seen: list[tuple[int, int, int, int]] = []

    def look(layer: ops.Involution2d, args: tuple[torch.Tensor]) -> None:
        seen.append((layer.channels, args[0].shape[2], layer.kernel_size, layer.stride))

    for module in network.modules():
        if isinstance(module, ops.Involution2d):
            module.register_forward_pre_hook(look)
    network(torch.empty(1, 3, 224, 224, device="meta"))
    listed = [
        (shape.channels, shape.size, shape.kernel_size, shape.stride)
        for shape in REDNET50
        for _ in range(shape.repeats)
    ]
    assert seen == listed
    assert len(listed) == 17
