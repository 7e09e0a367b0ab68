"""Training a network by its name, or one that was kept: no run is asked."""

from __future__ import annotations

from typing import Any

from invsearch.errors import InputError
from invsearch.metrics import Metric
from invsearch.search.seeds import replicate_seed
from invsearch.takeaway.device import check_device
from invsearch.takeaway.job import Job
from invsearch.takeaway.kept import check_folder, target_of
from invsearch.takeaway.options import TrainOptions
from invsearch.takeaway.start import Start
from invsearch.takeaway.subject import Subject, subject_of
from invsearch.takeaway.train import TrainedTrial
from invsearch.takeaway.training import Follow, KeptTraining
from invsearch.train import resolve_device
from invsearch.train.optimizers import require_optimizer
from invsearch.train.presets import preset_of
from invsearch.train.processes import joined, local_rank

__all__ = ["train_named"]

_PRESET = "paper"  # for a network of the paper, that is not told otherwise


def train_named(words: str, options: TrainOptions, follow: Follow) -> TrainedTrial:
    """Train a full-size network and keep it.

    Args:
        words: The network: ``rednet50``, a kept folder, its ``config.json``.
        options: What to train it on, and how; ``output`` and ``dataset`` are needed.
        follow: Who follows the training.

    Raises:
        InputError: If the network or an option cannot be used.
        TrialError: If training diverges.
    """
    subject = subject_of(words)
    if options.output is None:
        raise InputError(f"name the folder that {words} is to be kept in with -o FOLDER")
    device = check_device(options.device or "auto", auto=True)
    follow.check(options.output)
    check_folder(options.output)
    accuracy = options.accuracy(_recipe(subject, options))
    require_optimizer(accuracy.optimizer)
    device = resolve_device(device, turn=local_rank())
    start = Start(options.start, follow.tell) if options.start else None
    spec = subject.spec if start is None else start.stem_of(subject.classifier())
    count, kept = options.seeds or 1, dict[Any, dict[str, Metric]]()
    subject.fresh()  # registers the operators that it needs
    with joined(device) as processes:
        for number in range(count):
            job = Job(
                searched=spec,
                accuracy=accuracy,
                seed=replicate_seed(0, number) if number else 0,
                resolution=_resolution(subject, options),
                full=True,
                device=device,
                start=start,
            )
            target = target_of(options.output, job.seed, count)
            training = KeptTraining(job, target, subject.origin, subject.name, follow, processes)
            metrics = training.there()
            if metrics is None:
                metrics = training.run()[1]
                training.forget()
            elif processes.first:
                follow.tell(f"seed {job.seed}: {target} holds this training already")
            kept[target] = metrics
        return TrainedTrial(None, 0, kept if processes.first else {})


def _recipe(subject: Subject, options: TrainOptions) -> dict[str, Any]:
    """The recipe without options: that of a kept network's training, else the paper's."""
    if subject.saved is not None and subject.saved.training:
        recipe = dict(subject.saved.training["recipe"])
        recipe.pop("precision", None)  # it was resolved for a device
        return recipe
    return dict(preset_of(_PRESET).settings)


def _resolution(subject: Subject, options: TrainOptions) -> int | None:
    if options.resolution is not None:
        return options.resolution
    if options.preset is not None:
        return preset_of(options.preset).resolution
    return subject.resolution
