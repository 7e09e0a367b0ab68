"""What a network learns: one file and one row each."""

from __future__ import annotations

from collections.abc import Mapping

from invsearch.data import ImageData
from invsearch.train.tasks.classification import CLASSIFICATION
from invsearch.train.tasks.segmentation import SEGMENTATION
from invsearch.train.tasks.task import LearningTask, Outputs

__all__ = ["CLASSIFICATION", "LEARNING_TASKS", "SEGMENTATION", "LearningTask", "Outputs", "task_of"]

LEARNING_TASKS: Mapping[str, LearningTask] = {
    task.name: task for task in (CLASSIFICATION, SEGMENTATION)
}


def task_of(data: ImageData) -> LearningTask:
    """What is learned from a data set: masks are segmented, labels classified."""
    return SEGMENTATION if data.dense else CLASSIFICATION
