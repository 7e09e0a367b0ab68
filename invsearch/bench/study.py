"""The matched-cost study: is the gain just a window of 7 x 7 in place of 3 x 3?

Four operators on the same input, in turns: what they cost in time, traffic and multiply-adds.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import ops
from invsearch.bench.case import Candidate, Case, Result, Settings
from invsearch.bench.layers import UNFOLD, layer_candidate, layer_cost, layer_variants, seeded
from invsearch.bench.shapes import REDNET50, LayerShape
from invsearch.cost import peak_memory
from ops.timing import Roofline

__all__ = ["OPERATORS", "study_cases", "study_rows"]

OPERATORS: Mapping[str, tuple[str, int]] = {
    "3x3 convolution": ("convolution", 3),
    "7x7 convolution": ("convolution", 7),
    "7x7 depthwise convolution": ("depthwise_convolution", 7),
    "3x3 involution": ("involution", 3),
    "7x7 involution": ("involution", 7),
    "7x7 self-attention": ("self_attention", 7),
}
"""Name in the study -> registered operator and window."""

REFERENCE = "3x3 convolution"


def study_cases(settings: Settings) -> Iterator[tuple[str, Callable[[], Case]]]:
    """Names and makers of one case for each shape of the network's stages and batch size."""
    shapes = [shape for shape in REDNET50 if shape.name != "stem"]
    for batch in (1,) if settings.quick else (1, 8):
        for shape in shapes:
            make = functools.partial(_case, shape, batch, settings.device)
            yield f"study/{shape.name}/b{batch}", make


def study_rows(result: Result, roof: Roofline) -> list[dict[str, Any]]:
    """For each operator its `ms` with interval, `macs`, `params`, bytes, and rates; for JSON."""
    rows = []
    for name, one in result.comparison.measurements.items():
        (low, high), ratio = one.interval_ms, result.comparison.speedup(name)
        rows.append(
            {
                "shape": result.facts["shape"],
                "batch": result.facts["batch"],
                "operator": name,
                "latency_ms": one.median_ms,
                "latency_ms_low": low,
                "latency_ms_high": high,
                "speedup": ratio.value,
                "speedup_low": ratio.low,
                "speedup_high": ratio.high,
                "macs": result.costs[name].macs,
                "moved_bytes": result.costs[name].moved_bytes,
                **result.facts["counted"][name],
                **(result.rates(name, roof) or {}),
                "flags": list(one.flags),
            }
        )
    return rows


def _case(shape: LayerShape, batch: int, device: str) -> Case:
    candidates, counted = {}, {}
    for name, (operator, window) in OPERATORS.items():
        candidates[name], counted[name] = _operator(operator, window, shape, batch, device)
    return Case(
        f"study/{shape.name}/b{batch}",
        candidates,
        REFERENCE,
        facts={"shape": shape.name, "batch": batch, "counted": counted},
    )


def _operator(
    operator: str, window: int, shape: LayerShape, batch: int, device: str
) -> tuple[Candidate, dict[str, int]]:
    spec, settings = ops.get(operator), dict[str, Any](kernel_size=window)
    layer = seeded(lambda: spec.make(shape.channels, stride=shape.stride, **settings))
    sizes, params = shape.input_shape(batch), spec.params(shape.channels, **settings)
    cost = layer_cost(
        spec.macs(sizes, stride=shape.stride, **settings), shape, batch, "forward", 4 * params
    )
    counted = {"params": params, "peak_memory_bytes": peak_memory(layer, sizes)}
    unfold = layer_variants(layer, device).get(UNFOLD)
    oracle = None if unfold is None else layer_candidate(unfold, sizes, "forward", device).enter
    return layer_candidate(layer, sizes, "forward", device, False, cost, oracle), counted
