"""Latency of every layer of a network alone, beside that of the whole network."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

import ops
from invsearch.latency.measured import ask, metric
from invsearch.latency.target import Target
from invsearch.metrics import Metric
from invsearch.models import Network, NetworkSpec

__all__ = ["LayerLatencies", "layer_latency", "layer_modules", "time_layers"]

Layer = nn.Module | Callable[[Tensor], Any]


@dataclass(frozen=True)
class LayerLatencies:
    """Measured latencies of a network and its layers, of the whole batch.

    Attributes:
        network: Of one forward pass of the whole network.
        layers: Of each layer alone, by the name of its row in :func:`invsearch.cost.layers`, in
            the order of the forward pass. ``detail`` has the shape of its input.
    """

    network: Metric
    layers: Mapping[str, Metric]

    @property
    def sum_ms(self) -> float:
        """The sum over the layers, in milliseconds; not the latency of the network.

        Alone, a layer finds its tensors in the cache and its memory mapped; the whole network
        asks the operating system for pages again in each pass.
        """
        return sum(latency.value for latency in self.layers.values())


def layer_latency(
    spec: NetworkSpec,
    *,
    shape: Sequence[int],
    device: str = "cpu",
    threads: int = 1,
    timeout_s: float = 1800.0,
) -> LayerLatencies:
    """Measure every layer alone, with the batch norm and ReLU that follow it, in eval mode.

    One fresh process, under the device's lock as in :func:`invsearch.latency.measured`, times the
    network, runs it once to see the shape of each layer's input, and times each layer on a random
    input of that shape.

    Args:
        spec: The network.
        shape: Input shape (B, C, H, W).
        device: ``cpu``, ``cuda``, ``cuda:1``, ...
        threads: CPU threads of the process.
        timeout_s: Seconds after which the measurement is given up; waiting for the lock is free.

    Returns:
        The latencies, with 95 % intervals.

    Raises:
        TrialError: If the process fails or takes too long, with the last line it wrote.
    """
    reply = ask(spec, shape, Target(device, threads), timeout_s, layers=True)
    layers = {name: metric(figures) for name, figures in reply["layers"].items()}
    return LayerLatencies(metric(reply), layers)


def time_layers(
    network: Network, shape: Sequence[int], device: str
) -> Iterator[tuple[str, ops.Measurement]]:
    """Time each layer alone, in this process; the network is on the device already."""
    parts = dict(layer_modules(network))
    shapes = _input_shapes(network, parts, torch.zeros(tuple(shape), device=device))
    for name, part in parts.items():
        layer = _adding(part, shapes[name], device) if name.endswith(".add") else part
        yield name, _time(layer, shapes[name], device)


def _time(layer: Layer, shape: tuple[int, ...], device: str) -> ops.Measurement:
    """Briefly: a network may have 200 layers."""
    return ops.measure(
        layer,
        shape,
        device,
        memory_format=torch.channels_last,
        min_time=0.1,
        warmup_time=0.05,
        max_time=2.0,
    )


def layer_modules(network: Network) -> Iterator[tuple[str, nn.Module]]:
    """What each row of :func:`invsearch.cost.layers` runs, by its name; of an ``add`` the ReLU."""
    return network.layers()


def _input_shapes(
    network: nn.Module, parts: Mapping[str, nn.Module], images: Tensor
) -> dict[str, tuple[int, ...]]:
    """Run the network once, watching where each part begins."""
    shapes: dict[str, tuple[int, ...]] = {}

    def watch(name: str, part: nn.Module) -> Any:
        def see(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            shapes[name] = tuple(inputs[0].shape)

        first = part[0] if isinstance(part, nn.Sequential) else part
        return first.register_forward_pre_hook(see)

    hooks = [watch(name, part) for name, part in parts.items()]
    with torch.inference_mode():
        network(images)
    for hook in hooks:
        hook.remove()
    return shapes


def _adding(relu: nn.Module, shape: tuple[int, ...], device: str) -> Layer:
    """The end of a block, with a shortcut of its own."""
    shortcut = torch.ones(shape, device=device)
    return lambda x: relu(x + shortcut)
