"""Training one network, an epoch at a time: recipe, loop, evaluation, checkpoints."""

from invsearch.train.batch_norm import reestimated_batch_norm
from invsearch.train.checkpoint import read_weights, write_weights
from invsearch.train.device import resolve_device
from invsearch.train.evaluate import accuracy_metrics
from invsearch.train.graphed_step import CaptureError
from invsearch.train.optimizers import OPTIMIZERS
from invsearch.train.precision import PRECISIONS
from invsearch.train.proxy import check_learnable, recipe_of, trained_spec, trainer_of
from invsearch.train.recipe import Recipe
from invsearch.train.seeding import seeded_build
from invsearch.train.tasks import task_of
from invsearch.train.trainer import Trainer

__all__ = [
    "OPTIMIZERS",
    "PRECISIONS",
    "CaptureError",
    "Recipe",
    "Trainer",
    "accuracy_metrics",
    "check_learnable",
    "read_weights",
    "recipe_of",
    "reestimated_batch_norm",
    "resolve_device",
    "seeded_build",
    "task_of",
    "trained_spec",
    "trainer_of",
    "write_weights",
]
