"""Where a network's costs go, layer by layer, as data for the page's own script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from invsearch.errors import InvsearchError
from invsearch.report.columns import coded
from invsearch.report.picks import Recommendation
from invsearch.report.text import pixels
from invsearch.runs import RunData, Trial

if TYPE_CHECKING:
    from invsearch.cost import LayerCost
    from invsearch.space import SpaceFile

__all__ = ["QUANTITIES", "layer_costs"]

_MOST = 24  # networks that a page takes apart: more than a person opens, 3 KB to 5 KB each

QUANTITIES = {
    "macs": "MACs (fvcore)",
    "macs_paper": "MACs (paper's convention)",
    "params": "parameters",
    "bytes": "bytes moved",
}
"""What can be shown of a layer, by the name of its column."""


Image = tuple[int, int]
"""(height, width) in pixels."""


@dataclass(frozen=True)
class CountedLayers:
    """A network's layers and the image that their costs are of."""

    image: Image
    layers: Sequence[LayerCost]


def layer_costs(run: RunData, picks: Sequence[Recommendation]) -> dict[str, Any] | None:
    """Take the recommended networks and the front apart.

    Args:
        run: The run.
        picks: Its recommendations, which come first.

    Returns:
        ``images``, the sizes (height, width) of the one image that costs are of, each once;
        ``networks``, each with its ``trial``, a ``label`` and a list per column of its layers:
        ``name``, coded ``operator``, ``params``, ``macs`` (fvcore's convention), ``macs_paper``,
        ``bytes`` (moved: the input and the parameters read, the output written, in float32) and
        ``shape``. None where the space is not one of networks, or needs operators that are not
        here.
    """
    trials = _chosen(run, picks)
    if not run.outline.model or not trials:
        return None
    whys = {pick.number: pick.why for pick in picks}
    try:
        space_file = _space_file(run)
    except (InvsearchError, ImportError):
        return None
    counted = [found for trial in trials if (found := _counted(trial, space_file))]
    if not counted:
        return None
    images = list(dict.fromkeys(each.image for _, each in counted))
    networks = [
        {"trial": trial.number, "label": _label(trial, whys, each, images), **_columns(each.layers)}
        for trial, each in counted
    ]
    return {"images": [list(image) for image in images], "networks": networks}


def _chosen(run: RunData, picks: Sequence[Recommendation]) -> list[Trial]:
    """Return the recommended trials, then the other members, then the first baselines."""
    by_number = {trial.number: trial for trial in run.trials}
    numbers = [pick.number for pick in picks] + [member.trial.number for member in run.members]
    numbers += [trial.number for trial in run.trials if trial.origin == "baseline"]
    return [by_number[number] for number in list(dict.fromkeys(numbers))[:_MOST]]


def _space_file(run: RunData) -> SpaceFile:
    from invsearch.runs import RunFolder
    from invsearch.space import load_space_file

    return load_space_file(str(RunFolder(run.path).space_path))


def _counted(trial: Trial, space_file: SpaceFile) -> tuple[Trial, CountedLayers] | None:
    """Return a trial with its layers, None where its network cannot be resolved here."""
    from invsearch.explain import explain_layers

    try:
        found = explain_layers(space_file, trial.architecture)
    except InvsearchError:
        return None
    size = found.resolution
    return trial, CountedLayers((size, size) if isinstance(size, int) else size, found.layers)


def _label(
    trial: Trial, whys: Mapping[int, str], counted: CountedLayers, images: Sequence[Image]
) -> str:
    """Return what a network is called; its image's size where those of a run differ."""
    why = whys.get(trial.number, "").partition(";")[0] or (
        "baseline" if trial.origin == "baseline" else "on the front"
    )
    size = f", at {pixels(counted.image)}" if len(images) > 1 else ""
    return f"trial {trial.number}: {why}{size}"


def _columns(rows: Sequence[LayerCost]) -> dict[str, Any]:
    return {
        "name": [row.name for row in rows],
        "operator": coded(_operator(row) for row in rows),
        "params": [row.params for row in rows],
        "macs": [row.macs_fvcore for row in rows],
        "macs_paper": [row.macs_paper for row in rows],
        "bytes": [row.bytes for row in rows],
        "shape": ["x".join(map(str, row.output_shape)) for row in rows],
    }


def _operator(row: LayerCost) -> str:
    """Return the operator; of convolutions also whether it is the block's operator or a 1x1."""
    fixed = row.operator == "convolution" and not row.name.endswith("operator")
    return "convolution (fixed)" if fixed else row.operator
