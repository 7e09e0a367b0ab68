"""Taking one architecture of a run home: measured again, trained again, evaluated, exported."""

from __future__ import annotations

from invsearch.takeaway.evaluate import evaluate
from invsearch.takeaway.export import FORMATS, export
from invsearch.takeaway.named import train_named
from invsearch.takeaway.options import TrainOptions
from invsearch.takeaway.pick import Pick, pick
from invsearch.takeaway.remeasure import measure_subject, remeasure
from invsearch.takeaway.saved import SavedNetwork, load_network
from invsearch.takeaway.subject import Subject, subject_of
from invsearch.takeaway.train import train
from invsearch.takeaway.training import Follow

__all__ = [
    "FORMATS",
    "Follow",
    "Pick",
    "SavedNetwork",
    "Subject",
    "TrainOptions",
    "evaluate",
    "export",
    "load_network",
    "measure_subject",
    "pick",
    "remeasure",
    "subject_of",
    "train",
    "train_named",
]
