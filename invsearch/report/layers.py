"""Where a network's costs go, layer by layer, as data for the page's own script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from invsearch.errors import InvsearchError
from invsearch.report.figure import Figure
from invsearch.report.picks import Pick
from invsearch.report.table import coded
from invsearch.runs import RunData, Trial

if TYPE_CHECKING:
    from invsearch.cost import LayerCost
    from invsearch.space import SpaceFile

__all__ = ["layer_costs", "layers_figure"]

_MOST = 24  # networks that a page takes apart
_BYTES = 4  # of a float32


def layer_costs(run: RunData, picks: Sequence[Pick]) -> dict[str, Any] | None:
    """Take the recommended networks and the front apart.

    Args:
        run: The run.
        picks: Its recommendations, which come first.

    Returns:
        ``resolution``; ``networks``, each with its ``trial``, a ``label`` and a list per column of
        its layers: ``name``, coded ``operator``, ``params``, ``macs`` (fvcore's convention),
        ``macs_paper``, ``bytes`` (of the layer's output as float32) and ``shape``. None where the
        space is not one of networks, or needs operators that are not here.
    """
    trials = _chosen(run, picks)
    if not run.outline.model or not trials:
        return None
    whys = {pick.number: pick.why for pick in picks}
    try:
        space_file = _space_file(run)
    except (InvsearchError, ImportError):
        return None
    networks = [found for trial in trials if (found := _network(trial, space_file, whys))]
    if not networks:
        return None
    resolution = space_file.model.resolution if space_file.model else None
    return {"resolution": resolution, "networks": networks}


def _chosen(run: RunData, picks: Sequence[Pick]) -> list[Trial]:
    """Return the recommended trials, then the other members, then the first baselines."""
    by_number = {trial.number: trial for trial in run.trials}
    numbers = [pick.number for pick in picks] + [member.trial.number for member in run.members]
    numbers += [trial.number for trial in run.trials if trial.origin == "baseline"]
    return [by_number[number] for number in list(dict.fromkeys(numbers))[:_MOST]]


def _space_file(run: RunData) -> SpaceFile:
    from invsearch.runs import RunFolder
    from invsearch.space import load_space_file

    return load_space_file(str(RunFolder(run.path).space_path))


def _network(trial: Trial, space_file: SpaceFile, whys: Mapping[int, str]) -> dict[str, Any] | None:
    """Return one network taken apart, None where it cannot be resolved here."""
    from invsearch.explain import explain_layers

    try:
        rows = explain_layers(space_file, trial.architecture).layers
    except InvsearchError:
        return None
    why = whys.get(trial.number, "").partition(";")[0] or (
        "baseline" if trial.origin == "baseline" else "on the front"
    )
    return {"trial": trial.number, "label": f"trial {trial.number}: {why}", **_columns(rows)}


def _columns(rows: Sequence[LayerCost]) -> dict[str, Any]:
    return {
        "name": [row.name for row in rows],
        "operator": coded(_operator(row) for row in rows),
        "params": [row.params for row in rows],
        "macs": [row.macs_fvcore for row in rows],
        "macs_paper": [row.macs_paper for row in rows],
        "bytes": [_BYTES * _elements(row) for row in rows],
        "shape": ["x".join(map(str, row.output_shape)) for row in rows],
    }


def _operator(row: LayerCost) -> str:
    """Return the operator; of convolutions also whether it is the block's operator or a 1x1."""
    fixed = row.operator == "convolution" and not row.name.endswith("operator")
    return "convolution (fixed)" if fixed else row.operator


def _elements(row: LayerCost) -> int:
    channels, height, width = row.output_shape
    return channels * height * width


def layers_figure(index: int, resolution: int) -> Figure:
    """Return the figure that the page's script fills with the chosen network."""
    return Figure(
        title="Block by block",
        build="layers",
        options={"run": index},
        height=380,
        caption=(
            f"Counted for one image of {resolution} x {resolution} pixels, in the order of the"
            " forward pass; each layer with its batch norm and ReLU. Fixed convolutions are those"
            " every block has beside its operator (1 x 1, the stem, the shortcut). Output bytes"
            " are those of each layer's result as float32."
        ),
    )
