"""What the operator must reach on a GPU, row by row, and what a measured row says."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from invsearch.bench.goal import Goal
from ops.timing import Interval

__all__ = ["BATCHES", "ROWS", "GpuClaim", "GpuFigure", "Verdict"]

Verdict = Literal[
    "aim",
    "at least",
    "missed",
    "cannot tell",
    "measured",
    "works",
    "fails",
    "skipped",
    "not measured",
]
Kind = Literal[
    "bare",
    "released",
    "fused",
    "backward",
    "eager",
    "capture",
    "two",
    "first",
    "network",
    "training",
]

BATCHES = (64, 256)  # images: a training and an inference batch of one GPU
BARE_SHAPES = ("s1", "s2")  # whose kernel tensors are far beyond any cache


@dataclass(frozen=True)
class GpuClaim:
    """One thing to reach.

    Attributes:
        name: `kind/shape/batch`, without what does not vary.
        kind: How it is measured; see `invsearch.bench.gpu.cases`.
        what: In words.
        unit: `fraction`, `times` (a speed-up), `s`, of which less is better, or `works`: 1 or 0.
        at_least: What must be reached; None where only the figure is wanted.
        aim: What is aimed at, or None.
        shape: Of one layer, for the rows that are about one.
        batch: Images.
        device: What it is claimed of.
    """

    name: str
    kind: Kind
    what: str
    unit: Literal["fraction", "times", "s", "works"]
    at_least: float | None = None
    aim: float | None = None
    shape: str | None = None
    batch: int | None = None
    device: str = "cuda"

    def verdict(self, found: Interval) -> Verdict:
        """The goal's; without one `measured`; of what works or does not, `works` or `fails`."""
        if self.unit == "works":
            return "works" if found.value else "fails"
        if self.at_least is None or self.aim is None:
            return "measured"
        return Goal(self.at_least, self.aim, less=self.unit == "s").reached(found)

    @property
    def goal(self) -> str:
        """In words; empty without one."""
        if self.at_least is None or self.aim is None:
            return ""
        return f"; at least {self.at_least:g}, aim {self.aim:g} {self.unit}"


@dataclass(frozen=True)
class GpuFigure:
    """A row and what was found.

    Attributes:
        row: What was measured.
        found: Value with its 95 % interval, or None.
        reason: Why there is no value.
        details: Whatever explains the value: the measurements, bytes, errors.
        skipped: Whether there is no value because this machine has not what it takes.
    """

    row: GpuClaim
    found: Interval | None
    reason: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    skipped: bool = False

    @property
    def verdict(self) -> Verdict:
        """The row's, or `skipped`, or `not measured`."""
        if self.found is None:
            return "skipped" if self.skipped else "not measured"
        return self.row.verdict(self.found)

    @property
    def failed(self) -> bool:
        """Whether there is no value where there should be one, or what must work does not."""
        return self.verdict in ("not measured", "fails")

    def as_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON; an interval that knows no bound has None for it."""
        found = (None, None, None) if self.found is None else self.found
        finite = (None if end is None or math.isinf(end) else end for end in found)
        numbers = dict(zip(("value", "low", "high"), finite, strict=True))
        rest = {"verdict": self.verdict, "reason": self.reason, "details": dict(self.details)}
        return {**asdict(self.row), **numbers, **rest}

    def __str__(self) -> str:
        if self.found is None or self.row.unit == "works":
            why = f" ({self.reason})" if self.reason else ""
            return f"{self.row.what}: {self.verdict}{why}{self.row.goal}"
        value, low, high = (f"{number:.3g}" for number in self.found)
        return f"{self.row.what}: {value} ({low} to {high}): {self.verdict}{self.row.goal}"


def _rows() -> tuple[GpuClaim, ...]:
    rows = []
    for shape in BARE_SHAPES:
        for batch in BATCHES:
            what = f"bare operator, {shape}, {batch} images, fp16: of the copy bandwidth"
            rows.append(
                GpuClaim(f"bare/{shape}/{batch}", "bare", what, "fraction", 0.8, 0.9, shape, batch)
            )
    for shape in BARE_SHAPES:
        for batch in BATCHES:
            what = f"bare operator in fp16, {shape}, {batch} images: over the released form in fp32"
            rows.append(
                GpuClaim(f"released/{shape}/{batch}", "released", what, "times", 4, 6, shape, batch)
            )
    for batch in BATCHES:
        what = f"RedNet-50's 17 layers, {batch} images, fp16: fused over unfused"
        rows.append(GpuClaim(f"fused/{batch}", "fused", what, "times", 1.8, 2.5, None, batch))
    for batch in BATCHES:
        what = f"backward of the 17 layers, {batch} images, fp16: fused over unfused"
        rows.append(GpuClaim(f"backward/{batch}", "backward", what, "times", 1.7, 2, None, batch))
    what = f"RedNet-50 over ResNet-50, inference, {BATCHES[0]} images, fp16, eager in a CUDA graph"
    rows.append(GpuClaim(f"eager/{BATCHES[0]}", "eager", what, "times", batch=BATCHES[0]))
    what = "kernels that are compiled and first launched within the capture of a CUDA graph"
    rows.append(GpuClaim("capture", "capture", what, "works"))
    rows.append(GpuClaim("two", "two", "a layer on cuda:1 while cuda:0 is current", "works"))
    for part in ("bare", "layer"):
        what = f"first call of a process, cold cache, {part}"
        rows.append(GpuClaim(f"first/{part}", "first", what, "s", 2, 1, part))
    for batch in BATCHES:
        what = f"RedNet-50 over ResNet-50, inference, {batch} images, fp16, compiled, CUDA graphs"
        rows.append(GpuClaim(f"network/{batch}", "network", what, "times", 1, 1.4, None, batch))
    what = f"RedNet-50 over ResNet-50, training step, {BATCHES[0]} images, bf16, compiled"
    rows.append(GpuClaim(f"training/{BATCHES[0]}", "training", what, "times", batch=BATCHES[0]))
    return tuple(rows)


ROWS: tuple[GpuClaim, ...] = _rows()
"""Every row, in the order in which they are measured: the longest last."""
