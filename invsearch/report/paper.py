"""The paper's networks as points of a figure: published accuracy against our own counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from invsearch.paper import PublishedNetwork, networks
from invsearch.runs import RunData, Trial

__all__ = ["SIDE", "PaperPoint", "convention_of", "other_image", "paper_points", "papers_for"]

SIDE = 224  # pixels of the square image that the paper's classifiers are counted and trained for


@dataclass(frozen=True)
class PaperPoint:
    """A published network.

    Attributes:
        network: What the paper says.
        params: Parameters counted here.
        macs: Multiply-adds at 224 x 224 counted here.
        convention: The convention of the MACs.
    """

    network: PublishedNetwork
    params: float
    macs: float
    convention: str


def convention_of(trials: Sequence[Trial]) -> str:
    """Return the convention by which a run's trials were counted; the default is ``fvcore``."""
    for trial in trials:
        metric = trial.metrics.get("macs")
        if metric and metric.detail.get("convention"):
            return str(metric.detail["convention"])
    return "fvcore"


def other_image(run: RunData) -> tuple[int, int] | None:
    """Return the image (height, width) that a run's MACs are of where it is not the paper's.

    None too where the run does not say: its costs are then of a classifier's square image.
    """
    metrics = (trial.metrics.get("macs") for trial in run.trials)
    images = [metric.image for metric in metrics if metric and metric.image]
    return next((image for image in images if image != (SIDE, SIDE)), None)


def paper_points(convention: str = "fvcore") -> list[PaperPoint]:
    """Count the paper's ten networks.

    Args:
        convention: ``fvcore`` or ``paper``.

    Returns:
        One point per network, at 224 x 224 and 1,000 classes.
    """
    return [_point(network, convention) for network in networks()]


def papers_for(run: RunData, paper: Sequence[PaperPoint] | None) -> Sequence[PaperPoint]:
    """Return what of the paper belongs into a run's figures: nothing where costs are of two images.

    Args:
        run: The run.
        paper: The networks as counted; counted here, by the run's convention, when None.
    """
    if other_image(run):
        return ()
    if paper is not None:
        return paper
    wanted = run.outline.model and {"macs", "params"} & set(run.objectives)
    return paper_points(convention_of(run.trials)) if wanted else ()


def _point(network: PublishedNetwork, convention: str) -> PaperPoint:
    from invsearch.cost import count
    from invsearch.models.resolve import network_spec

    spec = network_spec({"family": network.family}, {"depth": network.depth})
    counts = count(spec, resolution=SIDE, convention="paper" if convention == "paper" else "fvcore")
    return PaperPoint(network, counts.params, counts.macs, counts.convention)
