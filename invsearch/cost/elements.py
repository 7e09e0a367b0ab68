"""What each convention counts by the element, beside the products: norms, pooling, interpolation.

Written as fvcore's handles have it (fvcore.nn.jit_handles), for the operations that a trace shows
and for those that torch makes of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from invsearch.cost.products import Rule, Shape, numel

__all__ = ["FVCORE", "NORMS", "norm_weight"]

_BATCH_NORMS = """
    batch_norm native_batch_norm _native_batch_norm_legit _native_batch_norm_legit_no_training
    cudnn_batch_norm instance_norm
    """
_OTHER_NORMS = {"native_group_norm": 1, "layer_norm": 2, "native_layer_norm": 2, "group_norm": 2}

NORMS: Mapping[str, int] = {
    f"aten::{name}": place
    for name, place in (*((name, 1) for name in _BATCH_NORMS.split()), *_OTHER_NORMS.items())
}
"""Every norm, and which of its inputs is the weight."""


def norm_weight(name: str, inputs: Sequence[Any]) -> Shape | None:
    """The weight of a norm, or None where it has none."""
    weight: Shape | None = inputs[NORMS[name]]
    return weight


def _batch_norm(inputs: Sequence[Any], outputs: Sequence[Shape]) -> int:
    """5 an element where it takes the statistics of what it gets, else 2; 1 less without weights.

    Whether it does is the only (or the first) bool among the inputs; an instance norm is a batch
    norm of every image by itself.
    """
    own_statistics = next((value for value in inputs if isinstance(value, bool)), False)
    return numel(inputs[0]) * ((4 if own_statistics else 1) + (inputs[1] is not None))


def _norm(weight: int) -> Rule:
    """5 an element, 4 without weights, for norms that always take their own statistics."""

    def macs(inputs: Sequence[Any], outputs: Sequence[Shape]) -> int:
        return numel(inputs[0]) * (4 + (inputs[weight] is not None))

    return macs


def _per_output(macs: int) -> Rule:
    return lambda inputs, outputs: macs * numel(outputs[0])


def _per_input(inputs: Sequence[Any], outputs: Sequence[Shape]) -> int:
    return numel(inputs[0])


_RULES: tuple[tuple[str, Rule], ...] = (
    (_BATCH_NORMS, _batch_norm),
    *((name, _norm(weight)) for name, weight in _OTHER_NORMS.items()),
    ("upsample_nearest2d", _per_output(1)),
    ("upsample_bilinear2d grid_sampler grid_sampler_2d grid_sampler_3d", _per_output(4)),
    ("adaptive_avg_pool2d", _per_input),
)

FVCORE: Mapping[str, Rule] = {
    f"aten::{name}": rule for names, rule in _RULES for name in names.split()
}
"""The convention ``fvcore``. What it has no rule for is free."""
