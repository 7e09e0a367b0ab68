"""`compare`: several pieces of work in turns, in one process."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch.export import ExportedProgram

from ops.hyperparameter import nearest_hint
from ops.timing.clock import Cache, Run
from ops.timing.conditions import Watch
from ops.timing.cuda import graphed
from ops.timing.environment import environment
from ops.timing.measure import enter_stream, measurement_of, random_input, require, timer_of
from ops.timing.measurement import Measurement
from ops.timing.results import difference, leaves
from ops.timing.sampling import Rule, Timer, sample
from ops.timing.statistics import Interval, Verdict, judge, paired_speedup
from ops.timing.workload import MODES, Layer, Mode, workload

__all__ = ["Comparison", "DisagreementError", "check", "compare"]


class DisagreementError(ValueError):
    """A piece of work computes something else than its oracle; nothing was timed."""


@dataclass(frozen=True)
class Comparison:
    """Measurements whose samples were taken in rounds, one of each.

    Attributes:
        measurements: By name; sample i of each belongs to round i.
        reference: The name that the others are compared with.
    """

    measurements: Mapping[str, Measurement]
    reference: str

    def speedup(self, name: str, reference: str | None = None) -> Interval:
        """How many times faster `name` is than the reference: median of the rounds' ratios.

        Raises:
            KeyError: For a name that was not measured.
        """
        other = self.reference if reference is None else reference
        return paired_speedup(self._samples(name), self._samples(other))

    def verdict(self, name: str, reference: str | None = None, margin: float = 0.05) -> Verdict:
        """`faster`, `slower` or `same` than the reference, or `cannot tell`."""
        return judge(self.speedup(name, reference), margin)

    def as_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        known = {name: one.as_dict() for name, one in self.measurements.items()}
        return {"reference": self.reference, "measurements": known}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Comparison:
        """The inverse of `as_dict`."""
        known = {name: Measurement.from_dict(one) for name, one in data["measurements"].items()}
        return cls(known, data["reference"])

    def __str__(self) -> str:
        lines = []
        for name, one in self.measurements.items():
            times = self.speedup(name)
            ratio = f"{times.value:.3g}x ({times.low:.3g} to {times.high:.3g})"
            lines.append(f"{name}: {one.median_ms:.4g} ms, {ratio} {self.verdict(name)}")
        return "\n".join(lines)

    def _samples(self, name: str) -> tuple[float, ...]:
        if name not in self.measurements:
            hint = nearest_hint(name, self.measurements)
            raise KeyError(f"compare: nothing called {name!r} was measured{hint}")
        return self.measurements[name].samples


def compare(
    candidates: Mapping[str, Layer | ExportedProgram | Run],
    shape: Sequence[int] | None = None,
    device: str | torch.device = "cpu",
    mode: Mode = "forward",
    *,
    reference: str | None = None,
    oracles: Mapping[str, Callable[[], Any]] | None = None,
    tolerance: float = 1e-4,
    dtype: torch.dtype = torch.float32,
    memory_format: torch.memory_format = torch.contiguous_format,
    cache: Cache = "warm",
    rule: Rule | None = None,
    cuda_graph: bool = False,
) -> Comparison:
    """Measures several pieces of work in rounds of one sample each, in an order shuffled anew.

    Before anything is timed, each result is compared with its oracle's. Sampling ends when `rule`
    is met for every speed-up over the reference, which is the median of the rounds' ratios.

    Args:
        candidates: Layers, if there is a `shape`; otherwise functions of no arguments.
        shape: Of the input that every layer gets.
        device: Where it runs.
        mode: As of `measure`, for layers.
        reference: A name of `candidates`; default: the first.
        oracles: For some names a function that computes what the candidate must; see `check`.
        tolerance: Of |result - oracle| / |oracle|, for each tensor.
        dtype: Of input and weights of layers.
        memory_format: Of the input of layers.
        cache: As of `measure`.
        rule: When to stop; its width is that of the speed-ups' intervals.
        cuda_graph: As of `measure`; functions without a `shape` must then be made on the stream
            that is current here, and not on the default one.

    Raises:
        DisagreementError: If a result is not its oracle's.
        ValueError: If there is no candidate, the mode or the cache is unknown, or a graph is asked
            for on a CPU.
        KeyError: If the reference or an oracle is of no candidate.
    """
    names = list(candidates)
    reference = names[0] if reference is None and names else reference
    _require_known(names, [reference, *(oracles or {})])
    require("mode", mode, MODES)
    device = torch.device(device)
    with contextlib.ExitStack() as stack:
        if shape is not None or device.type != "cuda":
            enter_stream(stack, device, cuda_graph)
        runs = {name: cast(Run, work) for name, work in candidates.items()}
        if shape is not None:
            for name, work in candidates.items():
                x = random_input(shape, device, dtype, memory_format)
                runs[name] = stack.enter_context(workload(cast(Layer, work), x, mode))
        if cuda_graph:
            runs = {name: graphed(run, device) for name, run in runs.items()}
        for name, oracle in (oracles or {}).items():
            check(name, runs[name](), oracle(), tolerance)
        timers = {name: timer_of(run, device, cache) for name, run in runs.items()}
        watch = Watch(device)
        missed = sample(list(timers.values()), rule or Rule(), _width_over(timers[str(reference)]))
        conditions = watch.stop()
    mode_or_call = mode if shape is not None else "call"
    with_what = (conditions, missed, shape, mode_or_call, device, dtype, cache)
    how, around = {"cuda_graph": cuda_graph}, environment()
    measured = {
        name: measurement_of(timer, *with_what, around, how) for name, timer in timers.items()
    }
    return Comparison(measured, str(reference))


def check(name: str, result: Any, expected: Any, tolerance: float = 1e-4) -> None:
    """Compares a result with its oracle's, tensor by tensor, by |result - expected| / |expected|.

    Args:
        name: Of the work.
        result: A tensor, a number, a string, or sequences, mappings and dataclasses of them; None
            is nothing. Integers, booleans and strings must be equal.
        expected: The oracle's.
        tolerance: For each tensor.

    Raises:
        DisagreementError: If one is farther off than `tolerance`, of another shape, or NaN; names
            it. Also if the oracle is not finite, which proves nothing.
        TypeError: For something else in a result.
    """
    results, wanted = leaves(result), leaves(expected)
    if len(results) != len(wanted):
        raise DisagreementError(
            f"{name} gives {len(results)} tensors where its oracle gives {len(wanted)}"
        )
    for place, theirs in wanted.items():
        if place not in results:
            known = ", ".join(results)
            raise DisagreementError(f"{name} gives no {place} as its oracle does; it gives {known}")
        reason = difference(results[place], theirs, tolerance)
        if reason is not None:
            raise DisagreementError(f"{name} disagrees with its oracle: tensor {place} {reason}")


def _require_known(names: Sequence[str], used: Sequence[str | None]) -> None:
    if not names:
        raise ValueError("compare: there is nothing to compare")
    for name in used:
        if name not in names:
            hint = nearest_hint(str(name), names)
            raise KeyError(f"compare: no candidate is called {name!r}{hint}")


def _width_over(reference: Timer) -> Callable[[Sequence[Timer]], float]:
    """The widest relative interval of the speed-ups over the reference."""

    def width(timers: Sequence[Timer]) -> float:
        others = [timer for timer in timers if timer is not reference] or [reference]
        times = [paired_speedup(timer.samples, reference.samples) for timer in others]
        return max((one.high - one.low) / one.value for one in times)

    return width
