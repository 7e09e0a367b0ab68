"""Latency of many parts of networks, timed in turns as a network runs them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

import torch

from invsearch.latency.parts import Part, build_part
from invsearch.latency.placing import DTYPES, placed
from invsearch.latency.runtimes import Runtime
from invsearch.latency.target import Target
from invsearch.plugins import RUNTIMES
from ops.timing import Measurement, Rule, environment
from ops.timing.clock import clock_of
from ops.timing.conditions import Watch
from ops.timing.cuda import graphed
from ops.timing.measure import enter_stream, measurement_of, random_input
from ops.timing.sampling import Timer, sample
from ops.timing.workload import workload

__all__ = ["time_parts"]

_SECONDS = 0.15  # a part at most: a space of 100 parts is measured in 15 s


def time_parts(parts: Sequence[Part], batch_size: int, target: Target) -> list[Measurement]:
    """Time one pass of each part, in eval mode, in this process.

    A part called again and again finds its weights in the nearest cache, which in a network the
    other parts have taken. So the parts take turns, one call a sample in an order shuffled anew,
    and before each its input is written, as the part before it in a network would have done. On a
    machine of two cores this halved the error of a network's sum, and slow spells of the machine
    strike all parts alike.

    Args:
        parts: What to time: those of a network, so that a turn is like one of its passes.
        batch_size: Images in the input.
        target: Where and how they run.

    Returns:
        A measurement of each; together they take about 0.15 s a part at most.
    """
    place = torch.device(target.device)
    seconds = _SECONDS * len(parts)
    rule = Rule(min_time=seconds / 3, max_time=seconds, max_width=0.1, warmup_time=0.0)
    with ExitStack() as stack:
        enter_stream(stack, place, RUNTIMES.get(target.runtime, Runtime).cuda_graph)
        timers = [_timer(part, batch_size, target, stack) for part in parts]
        watch = Watch()
        missed = sample(timers, rule)
        conditions = watch.stop()
    around, dtype = environment(), DTYPES[target.dtype]
    shapes = [(batch_size, *part.shape) for part in parts]
    return [
        measurement_of(timer, conditions, missed, shape, "forward", place, dtype, "warm", around)
        for timer, shape in zip(timers, shapes, strict=True)
    ]


def _timer(part: Part, batch_size: int, target: Target, stack: ExitStack) -> Timer:
    place = torch.device(target.device)
    module, how = placed(build_part(part), target)
    x = random_input((batch_size, *part.shape), place, how.dtype, how.memory_format)
    runtime = RUNTIMES.get(target.runtime, Runtime)
    run = stack.enter_context(workload(runtime.prepare(module, x), x, "forward"))
    timed = graphed(run, place) if runtime.cuda_graph else run
    return Timer(timed, clock_of(place), lambda: x.mul_(1.0), single=True)
