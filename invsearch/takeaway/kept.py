"""The folder of a training: what is in it while it trains, and what is kept of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from invsearch.errors import InputError
from invsearch.metrics import Metric
from invsearch.models.timm_config import timm_entries
from invsearch.runs import describe
from invsearch.runs.outputs import check_output
from invsearch.space.sources import SOURCES
from invsearch.takeaway.card import CARD
from invsearch.takeaway.job import Finished, Job
from invsearch.takeaway.saved import CONFIG, WEIGHTS, SavedNetwork, config_of, save_network
from invsearch.train.callbacks.curves import CURVES
from invsearch.train.recipe import Recipe

__all__ = ["CHECKPOINT", "already", "check_folder", "keep", "target_of"]

CHECKPOINT = "checkpoint.pt"
_BEGUN = (CURVES, "tensorboard", "wandb", "wandb-run", "mlflow-run")
"""What is there before the first checkpoint is."""


def check_folder(output: Path) -> None:
    """Refuse, before the training and not after it, what no network can be kept in.

    Raises:
        InputError: If it is a file or a part of a run.
    """
    if output.exists() and not output.is_dir():
        raise InputError(f"-o {output} is a file: name a folder")
    check_output(output / CONFIG)


def target_of(output: Path, seed: int, count: int) -> Path:
    """The folder of one of several seeds."""
    return output if count == 1 else output / f"seed-{seed}"


def already(target: Path, job: Job) -> SavedNetwork | None:
    """The training that a folder holds, if it is this one; None if it may begin or go on.

    Raises:
        InputError: If the folder holds something else.
    """
    if not (target / CONFIG).exists():
        inside = [path.name for path in target.iterdir()] if target.is_dir() else []
        # weights without a checkpoint are not what a kill leaves of a training
        ours = (CHECKPOINT, WEIGHTS, CARD, SOURCES, *_BEGUN) if CHECKPOINT in inside else _BEGUN
        foreign = [name for name in inside if name not in ours and name[0] != "."]
        if foreign:
            raise InputError(f"{target} holds other files: choose another folder with -o")
        return None
    saved = SavedNetwork.open(target)
    mine = {**job.describe(), "network": job.spec().to_json()}
    theirs: dict[str, Any] = {**saved.training, "network": saved.spec.to_json()}
    theirs["recipe"] = Recipe.completed(theirs.get("recipe"))
    changed = [key for key in mine if mine[key] != theirs.get(key)]
    if changed:
        raise InputError(
            f"{target} holds another training (it differs in {', '.join(changed)}): choose another "
            "folder with -o"
        )
    return saved


def keep(
    origin: Mapping[str, Any], job: Job, finished: Finished, target: Path
) -> dict[str, Metric]:
    """Write a trained network and what is known of it.

    Returns:
        Its metrics, with what it costs.
    """
    spec, data = job.spec(), job.data()
    training = {**job.describe(), "environment": describe()}
    config = config_of(origin, spec, data.resolution, metrics=finished.metrics, training=training)
    config["classes"] = list(data.classes)
    config["normalisation"] = data.normalisation and data.normalisation.to_json()
    scale, shape = config["normalisation"], config["input_shape"]
    config |= timm_entries(spec, shape, scale, data.classes, data.white)
    save_network(target, config, finished.weights)
    return SavedNetwork.open(target).metrics
