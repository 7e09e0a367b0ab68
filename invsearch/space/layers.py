"""``invsearch explain --layers``: the cost of every layer of one network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from invsearch.errors import InputError
from invsearch.space.architecture import Architecture
from invsearch.space.load import SpaceFile

if TYPE_CHECKING:
    from rich.console import RenderableType

    from invsearch.cost import LayerCost

__all__ = ["LayersExplanation", "explain_layers"]


@dataclass(frozen=True)
class LayersExplanation:
    """The layers of one network.

    Attributes:
        architecture: Which one.
        resolution: Side of the images that the costs are for, or (height, width).
        layers: In the order of the forward pass.
    """

    architecture: Architecture
    resolution: int | tuple[int, int]
    layers: tuple[LayerCost, ...]

    def text(self) -> RenderableType:
        """The layers as something that rich prints."""
        from invsearch.space.rendering import render_layers

        return render_layers(self)

    def to_json(self) -> dict[str, Any]:
        """The layers as plain data."""
        return {
            "architecture": self.architecture.to_json(),
            "resolution": self.resolution,
            "layers": [vars(layer) for layer in self.layers],
        }


def explain_layers(
    space_file: SpaceFile, architecture: Architecture | None = None
) -> LayersExplanation:
    """Count every layer of one network.

    Args:
        space_file: The space.
        architecture: Which one; by default the first of the space (every parameter's first value).
            ``--set space.depth=50`` and the like choose another.

    Raises:
        InputError: If the space is not one of networks.
    """
    if space_file.model is None:
        raise InputError("--layers needs a space of networks: this one has an evaluator")
    from invsearch import cost, models

    chosen = architecture or next(space_file.space.enumerate())
    constants = {**space_file.model.constants(), **space_file.space.constants}
    resolution = space_file.model.resolution
    spec = models.searched_spec(constants, chosen)
    layers = cost.searched_layers(spec, resolution)
    height, width = cost.searched_shape(spec, resolution)[2:]
    size = height if height == width else (height, width)
    return LayersExplanation(chosen, size, tuple(layers))
