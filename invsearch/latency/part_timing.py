"""Latency of many parts of networks, timed in turns as a network runs them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

import torch
from torch.nn.utils import convert_conv2d_weight_memory_format

from invsearch.latency.parts import Part, build_part
from ops.timing import Measurement, Rule, environment
from ops.timing.clock import clock_of
from ops.timing.conditions import Watch
from ops.timing.measure import measurement_of, random_input
from ops.timing.sampling import Timer, sample
from ops.timing.workload import workload

__all__ = ["time_parts"]

_FORMAT = torch.channels_last
_SECONDS = 0.15  # a part at most: a space of 100 parts is measured in 15 s


def time_parts(parts: Sequence[Part], batch_size: int, device: str) -> list[Measurement]:
    """Time one pass of each part, in eval mode, in this process.

    A part called again and again finds its weights in the nearest cache, which in a network the
    other parts have taken. So the parts take turns, one call a sample in an order shuffled anew,
    and before each its input is written, as the part before it in a network would have done. On a
    machine of two cores this halved the error of a network's sum, and slow spells of the machine
    strike all parts alike.

    Args:
        parts: What to time; the more there are, the more a turn is like a pass of a network.
        batch_size: Images in the input.
        device: ``cpu``, ``cuda``, ``cuda:1``, ...

    Returns:
        A measurement of each; together they take about 0.15 s a part at most.
    """
    place = torch.device(device)
    seconds = _SECONDS * len(parts)
    rule = Rule(min_time=seconds / 3, max_time=seconds, max_width=0.1, warmup_time=0.0)
    with ExitStack() as stack:
        timers = [_timer(part, batch_size, place, stack) for part in parts]
        watch = Watch()
        missed = sample(timers, rule)
        conditions = watch.stop()
    around = environment()
    shapes = [(batch_size, *part.shape) for part in parts]
    return [
        measurement_of(
            timer, conditions, missed, shape, "forward", place, torch.float32, "warm", around
        )
        for timer, shape in zip(timers, shapes, strict=True)
    ]


def _timer(part: Part, batch_size: int, device: torch.device, stack: ExitStack) -> Timer:
    module = build_part(part).eval().to(device)
    convert_conv2d_weight_memory_format(module, _FORMAT)
    x = random_input((batch_size, *part.shape), device, torch.float32, _FORMAT)
    run = stack.enter_context(workload(module, x, "forward"))
    return Timer(run, clock_of(device), lambda: x.mul_(1.0), single=True)
