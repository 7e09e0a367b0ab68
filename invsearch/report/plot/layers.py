"""A network block by block: what the page's script needs to draw it."""

from __future__ import annotations

from collections.abc import Sequence

from invsearch.report.plot.figure import Figure
from invsearch.report.text import pixels

__all__ = ["layers_figure"]


def layers_figure(index: int, images: Sequence[Sequence[int]]) -> Figure:
    """Return the figure that the page's script fills with the chosen network.

    Args:
        index: The run's place on the page.
        images: The sizes (height, width) of the images that its networks' costs are of.
    """
    one = pixels(images[0]) if len(images) == 1 else "the size beside the network's name, in"
    return Figure(
        title="Block by block",
        build="layers",
        options={"run": index},
        height=380,
        caption=(
            f"Counted for one image of {one} pixels, in the order of the"
            " forward pass; each layer with its batch norm and ReLU. Fixed convolutions are those"
            " every block has beside its operator (1 x 1, the stem, the shortcut). Bytes moved"
            " are each layer's input and parameters read once and its output written once, as"
            " float32."
        ),
    )
