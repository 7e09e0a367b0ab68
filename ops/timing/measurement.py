"""`Measurement`: samples of a time, and how they were taken."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from ops.timing.clock import Cache
from ops.timing.conditions import Conditions, drift, migration
from ops.timing.statistics import Interval, Verdict, judge, median_interval, speedup

__all__ = ["Measurement"]


@dataclass(frozen=True)
class Measurement:
    """Samples of the time of one call, and how they were taken.

    Attributes:
        samples: Seconds a call, in the order taken, to six digits; none is dropped.
        shape: Of the input; None for work that has no input of its own.
        mode: `forward`, `backward`, `train`, or `call` for work without a layer.
        device: Where it ran.
        dtype: Of input and weights.
        threads: torch's threads on the CPU.
        cache: `warm` (call after call) or `cold` (flushed before each sample).
        warmup_calls: Calls made before the first sample.
        calls_per_sample: Calls that one sample is the mean of.
        missed: Which criterion the time limit cut short, or None.
        flags: What may have disturbed it: foreign load, throttling, drift; empty if nothing.
        conditions: What the operating system said meanwhile; see `ops.timing.Conditions`. Beside
            that `clock` (how the time was taken), `flushed_bytes` (before each sample),
            `moved_samples` (that ended on another core than they began on), `cuda_graph`, and
            `energy` (see `ops.timing.Energy`).
        environment: See `ops.environment`.
    """

    samples: tuple[float, ...]
    shape: tuple[int, ...] | None
    mode: str
    device: str
    dtype: str
    threads: int
    cache: Cache
    warmup_calls: int
    calls_per_sample: int
    missed: str | None
    flags: tuple[str, ...]
    conditions: dict[str, Any]
    environment: dict[str, Any]

    @property
    def median(self) -> float:
        """Median of the samples, in seconds."""
        return statistics.median(self.samples)

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the median, in seconds; with under six samples, the extremes."""
        return median_interval(self.samples)

    @property
    def median_ms(self) -> float:
        """`median` in milliseconds."""
        return self.median * 1e3

    @property
    def interval_ms(self) -> tuple[float, float]:
        """`interval` in milliseconds."""
        low, high = self.interval
        return low * 1e3, high * 1e3

    @property
    def energy_mj(self) -> float | None:
        """Millijoules of one call; None if they were not read: `conditions["energy"]` says why."""
        found = self.conditions.get("energy", {}).get("mj")
        return None if found is None else float(found)

    def speedup(self, reference: Measurement) -> Interval:
        """How many times faster than `reference`, measured apart, with a 95 % interval.

        The interval knows the noise within each of the two, not what differs between two days or
        two machines. To compare closely, use `ops.compare`.
        """
        return speedup(self.samples, reference.samples)

    def against(self, reference: Measurement, margin: float = 0.05) -> Verdict:
        """`faster`, `slower` or `same` than `reference`, or `cannot tell`.

        A disturbed measurement proves no slowness, and a disturbed reference no speed: then the
        verdict is `cannot tell`.

        Args:
            reference: Of the same work.
            margin: Differences up to this are none.
        """
        verdict = judge(self.speedup(reference), margin)
        doubtful = (verdict == "slower" and self.flags) or (verdict == "faster" and reference.flags)
        return "cannot tell" if doubtful else verdict

    def gflops(self, flops: float) -> float:
        """GFLOP/s of a call that does `flops` operations (a multiply-add is two)."""
        return flops / self.median / 1e9

    def gbytes_per_s(self, moved: float) -> float:
        """GB/s of a call that moves so many bytes."""
        return moved / self.median / 1e9

    def as_dict(self) -> dict[str, Any]:
        """Everything, with `median_ms` and `interval_ms`, ready for JSON."""
        lists = {"samples": list(self.samples), "flags": list(self.flags)}
        ours = {"median_ms": self.median_ms, "interval_ms": list(self.interval_ms)}
        return {**asdict(self), **lists, **ours}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Measurement:
        """The inverse of `as_dict`, also after a trip through JSON.

        Raises:
            KeyError: If something is missing.
        """
        values = {field.name: data[field.name] for field in fields(cls)}
        shape = None if values["shape"] is None else tuple(values["shape"])
        lists = {"samples": tuple(values["samples"]), "flags": tuple(values["flags"])}
        return cls(**{**values, **lists, "shape": shape})

    def __str__(self) -> str:
        low, high = self.interval_ms
        notes = [self.missed and f"missed: {self.missed}", *self.flags]
        return (
            f"{self.median_ms:.4g} ms (95 % interval {low:.4g} to {high:.4g}, {len(self.samples)} "
            f"samples, {self.mode}, {self.device}, {self.threads} threads, {self.cache} cache)"
        ) + "".join(f"; {note}" for note in notes if note)


def flags_of(
    samples: tuple[float, ...], conditions: Conditions, device: str, moved: int
) -> tuple[str, ...]:
    """What to flag; where a GPU works, this process and its cores may well be idle or shared."""
    on_gpu = conditions.gpu.flags() if conditions.gpu is not None else ()
    around = conditions.flags() if device == "cpu" else on_gpu
    migrated = migration(moved, len(samples)) if device == "cpu" else None
    return (*around, *filter(None, (migrated, drift(samples))))
