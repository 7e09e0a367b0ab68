"""Taking one architecture of a run home: measured again, trained again, evaluated, exported."""

from __future__ import annotations

from invsearch.takeaway.evaluate import evaluate
from invsearch.takeaway.export import FORMATS, export
from invsearch.takeaway.pick import Pick, pick
from invsearch.takeaway.remeasure import remeasure
from invsearch.takeaway.saved import SavedNetwork, load_network
from invsearch.takeaway.train import TrainOptions, train

__all__ = [
    "FORMATS",
    "Pick",
    "SavedNetwork",
    "TrainOptions",
    "evaluate",
    "export",
    "load_network",
    "pick",
    "remeasure",
    "train",
]
