"""`python -m invsearch.bench.cifar10`: RedNets against ResNets, trained on the whole of CIFAR-10.

Within a budget of seconds: whole comparisons first, several trainings at a time on one GPU, and
everything that is finished is on disk. Validation images are watched; the test images are looked at
once a training, at its end.
"""

from invsearch.bench.cifar10.command import OUTPUT, main
from invsearch.bench.cifar10.queue import Queue, fit_epochs
from invsearch.bench.cifar10.study import SCHEMA, Study

__all__ = ["OUTPUT", "SCHEMA", "Queue", "Study", "fit_epochs", "main"]
