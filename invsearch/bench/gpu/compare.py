"""What every row on a GPU is measured with: a stream, a comparison in graphs, a copy."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from invsearch.bench.gpu.rows import GpuClaim, GpuFigure
from ops.timing import Comparison, Interval, Rule, check, compare
from ops.timing.roofline import copy_kernel

__all__ = ["COPIED_BYTES", "DTYPE", "RULE", "agree", "compared", "copy", "measured", "streamed"]

DTYPE = torch.float16
COPIED_BYTES = 1 << 29
"""Ten times the L2 of an H200."""

RULE = Rule(min_samples=30, min_time=0.5, max_width=0.02, max_time=10.0, sample_time=2e-3)


def compared(
    runs: Mapping[str, Callable[[], Any]],
    device: str,
    seconds: float,
    *,
    rule: Rule = RULE,
    reference: str | None = None,
    dtype: torch.dtype = DTYPE,
    graphs: bool = True,
) -> Comparison:
    """Compares work that was made on the current stream, for at most so many seconds of sampling.

    Args:
        runs: What to compare, by name.
        device: Where it runs.
        seconds: For the samples of all.
        rule: When to stop before.
        reference: A name of `runs`; default: the first.
        dtype: Which the measurements say.
        graphs: Whether each is replayed as a CUDA graph.
    """
    return compare(
        runs,
        device=device,
        reference=reference,
        dtype=dtype,
        rule=replace(rule, max_time=min(rule.max_time, seconds)),
        cuda_graph=graphs and torch.device(device).type == "cuda",
    )


def copy(device: str) -> Callable[[], Tensor]:
    """A copy within the GPU's memory, by a kernel: see `copy_kernel`."""
    source = torch.randn(COPIED_BYTES // 4, device=device)
    return copy_kernel(source, torch.empty_like(source))


@contextlib.contextmanager
def streamed(device: str) -> Iterator[None]:
    """A stream that can be captured; everything is made on it."""
    if torch.device(device).type != "cuda":
        yield
        return
    stream = torch.cuda.Stream(device)
    stream.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(stream):
        yield
    stream.synchronize()


def agree(result: Any, expected: Any, tolerance: float) -> None:
    """Raises `DisagreementError` unless both are the same within the tolerance."""
    check("the fast form", result, expected, tolerance)


def measured(
    row: GpuClaim, found: Interval, comparison: Comparison, more: dict[str, Any]
) -> GpuFigure:
    """The row with its measurements, whose machine the document describes already."""
    kept = {name: one.as_dict() for name, one in comparison.measurements.items()}
    for one in kept.values():
        del one["environment"]
    return GpuFigure(row, found, None, {**more, "measurements": kept})
