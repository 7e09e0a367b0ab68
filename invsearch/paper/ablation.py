"""What the design of RedNet-50 costs: the paper's ablations, counted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from invsearch.cost import count
from invsearch.models import NetworkSpec, StemSpec, rednet_spec
from invsearch.paper.row import Row, unjudged

__all__ = ["ablation"]

_DEPTH = 50  # the paper's ablations are of RedNet-50
_WIDTHS = (64, 128, 256, 512)  # inside its bottlenecks


def ablation() -> list[Row]:
    """Parameters and MACs at 224 x 224 of every variant, by both conventions; none is judged."""
    rows: list[Row] = []
    for key, spec in _variants():
        fvcore, paper = count(spec, convention="fvcore"), count(spec, convention="paper")
        rows.append(unjudged("ablation", key, "params_m", "paper", paper.params / 1e6))
        rows.append(unjudged("ablation", key, "macs_g", "paper", paper.macs / 1e9))
        rows.append(unjudged("ablation", key, "macs_g", "fvcore", fvcore.macs / 1e9))
    return rows


def _variants() -> Iterator[tuple[str, NetworkSpec]]:
    name = f"RedNet-{_DEPTH}"
    for size in (3, 5, 7, 9):
        yield f"{name} / kernel size {size}", rednet_spec(_DEPTH, kernel_size=size)
    for channels in (1, 4, 16):
        key = f"{name} / group channels {channels}"
        yield key, rednet_spec(_DEPTH, group_channels=channels)
    one_group = [{"group_channels": width} for width in _WIDTHS]
    yield f"{name} / group channels C", rednet_spec(_DEPTH, stages=one_group)
    yield f"{name} / generator linear", rednet_spec(_DEPTH, generator="linear")
    for reduction in (1, 4, 16):
        key = f"{name} / generator bottleneck, reduction {reduction}"
        yield key, rednet_spec(_DEPTH, reduction=reduction)
    yield f"{name} / generator attention", rednet_spec(_DEPTH, generator="attention")
    for kernel_size in (3, 7):
        key = f"{name} / stem involution {kernel_size} x {kernel_size}"
        yield key, rednet_spec(_DEPTH, stem_kernel_size=kernel_size)
    base = rednet_spec(_DEPTH)
    yield f"{name} / stem convolution 7 x 7", replace(base, stem=StemSpec("resnet"))
    yield f"{name} / stem three convolutions", replace(base, stem=StemSpec("deep"))
