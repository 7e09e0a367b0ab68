"""Who follows a training: curves, a progress bar, TensorBoard, MLflow, Weights & Biases."""

from invsearch.train.callbacks.callback import Callback, EpochRecord, Plan
from invsearch.train.callbacks.curves import Curves
from invsearch.train.callbacks.progress import ProgressView
from invsearch.train.callbacks.table import callback_of

__all__ = ["Callback", "Curves", "EpochRecord", "Plan", "ProgressView", "callback_of"]
