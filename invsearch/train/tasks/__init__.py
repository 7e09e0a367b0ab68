"""What a network learns: one file and one row each."""

from __future__ import annotations

from collections.abc import Mapping

from invsearch.train.tasks.classification import CLASSIFICATION
from invsearch.train.tasks.task import LearningTask

__all__ = ["CLASSIFICATION", "LEARNING_TASKS", "LearningTask"]

LEARNING_TASKS: Mapping[str, LearningTask] = {task.name: task for task in (CLASSIFICATION,)}
