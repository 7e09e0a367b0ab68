"""Several whole networks timed in turns: what drifts meanwhile, drifts for all of them alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import nn

from invsearch.latency.placing import Form, placed
from invsearch.latency.runtimes import Runtime
from invsearch.latency.target import Target
from ops.timing import Measurement, Rule, compare
from ops.timing.measure import random_input
from ops.timing.statistics import paired_speedup
from ops.timing.workload import Layer

__all__ = ["tied", "time_in_turns"]

_ALONE = Rule()  # each network is sampled as long as one that is measured alone


def time_in_turns(
    networks: Sequence[nn.Module], shape: Sequence[int], target: Target, runtime: Runtime
) -> list[Measurement]:
    """Time one pass of each network in eval mode, a sample of each a round, in this process.

    Before each sample its network is called once for nothing: a neighbour's weights lie in the
    caches, where a network that is measured alone finds its own.

    Args:
        networks: On any device.
        shape: Input shape (B, C, H, W) of each.
        target: Where and how they run.
        runtime: Its runtime.
    """
    ready = list(_prepared(networks, shape, target, runtime))
    how = ready[0][1]
    many = len(ready)
    found = compare(
        {str(place): run for place, (run, _) in enumerate(ready)},
        shape,
        target.device,
        dtype=how.dtype,
        memory_format=how.memory_format,
        cuda_graph=runtime.cuda_graph,
        rule=Rule(min_time=_ALONE.min_time * many, max_time=_ALONE.max_time * many),
    )
    return [found.measurements[str(place)] for place in range(many)]


def tied(measured: Sequence[Measurement]) -> list[list[int]]:
    """For each measurement the places of the others that it cannot be told from.

    Two are told apart where the 95 % interval of the rounds' ratios does not hold 1.

    Args:
        measured: In turns, so that sample i of each belongs to round i.
    """
    places = range(len(measured))
    return [[b for b in places if a != b and _same(measured[a], measured[b])] for a in places]


def _same(one: Measurement, other: Measurement) -> bool:
    ratio = paired_speedup(one.samples, other.samples)
    return ratio.low <= 1.0 <= ratio.high


def _prepared(
    networks: Sequence[nn.Module], shape: Sequence[int], target: Target, runtime: Runtime
) -> Iterator[tuple[Layer, Form]]:
    device = torch.device(target.device)
    for network in networks:
        module, how = placed(network, target)
        x = random_input(shape, device, how.dtype, how.memory_format)
        yield runtime.prepare(module, x), how
