"""``invsearch explain --layers``: the cost and latency of every layer of one network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from invsearch.errors import InputError
from invsearch.space.architecture import Architecture
from invsearch.space.load import SpaceFile
from invsearch.space.schema import Latency

if TYPE_CHECKING:
    from rich.console import RenderableType

    from invsearch.cost import LayerCost
    from invsearch.latency import LayerLatencies
    from invsearch.models import SearchedSpec

__all__ = ["LayersExplanation", "explain_layers"]


@dataclass(frozen=True)
class LayersExplanation:
    """The layers of one network.

    Attributes:
        architecture: Which one.
        resolution: Side of the images that the costs are for, or (height, width).
        layers: In the order of the forward pass.
        latency: Measured, of the network and of each layer; None where that was not wanted.
    """

    architecture: Architecture
    resolution: int | tuple[int, int]
    layers: tuple[LayerCost, ...]
    latency: LayerLatencies | None = None

    def text(self) -> RenderableType:
        """The layers as something that rich prints."""
        from invsearch.explain.rendering import render_layers

        return render_layers(self)

    def to_json(self) -> dict[str, Any]:
        """The layers as plain data, equal to itself after a trip through JSON.

        Where latency was measured, each layer has ``latency_ms`` (a metric), and ``latency`` holds
        the ``network``'s and the ``sum_ms`` of the layers, which differ.
        """
        size, measured = self.resolution, self.latency
        data: dict[str, Any] = {
            "architecture": self.architecture.to_json(),
            "resolution": size if isinstance(size, int) else list(size),
            "layers": [
                {**vars(layer), "output_shape": list(layer.output_shape)} for layer in self.layers
            ],
        }
        if measured is not None:
            for row in data["layers"]:
                row["latency_ms"] = measured.layers[row["name"]].to_json()
            data["latency"] = {"network": measured.network.to_json(), "sum_ms": measured.sum_ms}
        return data


def explain_layers(
    space_file: SpaceFile, architecture: Architecture | None = None, *, measure: bool = False
) -> LayersExplanation:
    """Count every layer of one network.

    Args:
        space_file: The space.
        architecture: Which one; by default the first of the space (every parameter's first value).
            ``--set space.depth=50``, or ``space.depth.choice=[50, custom]``, choose another.
        measure: Also measure the latency of each layer and of the network, at the resolution that
            they are counted for, with the space file's device, batch size and threads (by default
            cpu, 1 and 1).

    Raises:
        InputError: If the space is not one of networks; if a detector or segmenter is to be
            measured.
        TrialError: If the measurement fails.
    """
    if space_file.model is None:
        raise InputError("--layers needs a space of networks: this one has an evaluator")
    from invsearch import cost
    from invsearch.cost.module_count import check_module
    from invsearch.models import ModuleSpec
    from invsearch.problem.kinds import network_problem_of

    chosen = architecture or next(space_file.space.enumerate())
    resolution = space_file.model.resolution
    spec = network_problem_of(space_file).searched(chosen)
    if isinstance(spec, ModuleSpec):
        check_module(spec, (resolution, resolution))
    latency = _measured(space_file, spec, resolution) if measure else None
    layers = cost.searched_layers(spec, resolution)
    height, width = cost.searched_shape(spec, resolution)[2:]
    size = height if height == width else (height, width)
    return LayersExplanation(chosen, size, tuple(layers), latency)


def _measured(space_file: SpaceFile, spec: SearchedSpec, resolution: int) -> LayerLatencies:
    from invsearch import cost
    from invsearch.latency import layer_latency
    from invsearch.models import ModuleSpec, TaskSpec

    if isinstance(spec, ModuleSpec):
        raise InputError(
            "--measure times the layers of our own families: leave it out, and --layers counts "
            "those of any network"
        )
    if isinstance(spec, TaskSpec):
        raise InputError(
            f"--measure times networks that classify, and this one is a {spec.task}: "
            "leave --measure out, and --layers counts it"
        )
    settings = space_file.latency or Latency()
    shape = (settings.batch_size, *cost.searched_shape(spec, resolution)[1:])
    device, threads = settings.device, settings.threads
    return layer_latency(spec, shape=shape, device=device, threads=threads)
