"""Training one architecture again: further seeds for its run, or a network to keep."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from invsearch.errors import InputError
from invsearch.metrics import Metric, metric_info
from invsearch.models import TaskSpec
from invsearch.runs import Replicate, Trial, describe
from invsearch.runs.lines import read_lines
from invsearch.search.seeds import replicate_seed
from invsearch.space import Accuracy
from invsearch.takeaway.device import check_device
from invsearch.takeaway.job import Finished, Job
from invsearch.takeaway.kept import check_folder, target_of
from invsearch.takeaway.options import TrainOptions
from invsearch.takeaway.pick import Pick, locked, pick
from invsearch.takeaway.record import record, times
from invsearch.takeaway.start import Start
from invsearch.takeaway.training import Follow, KeptTraining
from invsearch.train import check_learnable, resolve_device
from invsearch.train.presets import preset_of
from invsearch.train.processes import joined, local_rank, started_together

__all__ = ["TrainOptions", "TrainedTrial", "train"]

SEEDS = 3  # the fewest with a deviation that is more than a difference


@dataclass(frozen=True)
class TrainedTrial:
    """What training brought.

    Attributes:
        trial: The trial, replicates folded in; None for a network of no run.
        recorded: How many replicates were added to the run.
        kept: Folder and metrics of each network that is kept.
    """

    trial: Trial | None
    recorded: int = 0
    kept: dict[Path, dict[str, Metric]] = field(default_factory=dict)


def train(run: str | Path, number: int, options: TrainOptions, follow: Follow) -> TrainedTrial:
    """Train the architecture of a trial again, at the run's recipe or another one.

    At the run's recipe each further seed is a replicate: the trial's metrics become means over its
    seeds, and ``front.csv`` is derived anew. With an output folder the networks are kept, whatever
    the recipe. A killed training goes on from its last checkpoint when it is asked for again, and
    what is there already is not trained again.

    Args:
        run: The run's folder, or its name under ``results/``.
        number: The trial's number.
        options: What to train.
        follow: Who follows the training.

    Raises:
        InputError: If the run, the trial or the options cannot be used.
        TrialError: If training diverges.
    """
    if options.device is not None:
        check_device(options.device, auto=True)
    if options.output is None and not options.as_run:
        raise InputError(
            "another recipe or scale than the run's makes no replicate: keep the network with -o "
            "FOLDER, or leave out --full, --epochs, --dataset, --resolution, --preset, --from and "
            "--set"
        )
    if options.output is None and started_together() > 1:
        raise InputError("several processes train a network to keep: name a folder with -o")
    follow.check(options.output)
    picked = pick(run, number, options.of_run(), data=True)
    check_learnable(picked.spec)
    records = options.as_run and picked.trial.state == "complete" and _trains(picked)
    records = records and started_together() == 1
    if options.output is None:
        _check_replicable(picked)
    else:
        check_folder(options.output)
    _set_threads(picked, options)
    with locked(picked.folder) if records else nullcontext():
        return _train_seeds(picked, options, records, follow)


def _check_replicable(picked: Pick) -> None:
    trial = picked.trial
    if not _trains(picked):
        raise InputError(
            f"the run {picked.folder.path} trained nothing, so there is nothing to repeat: train "
            "the network for yourself with -o FOLDER"
        )
    if trial.state != "complete":
        why = f" ({trial.error})" if trial.error else ""
        raise InputError(
            f"{picked.name} is {trial.state}{why} and has no result to repeat: choose a complete "
            "trial, or keep the network with -o FOLDER"
        )


def _trains(picked: Pick) -> bool:
    return picked.problem.needs_workers


def _set_threads(picked: Pick, options: TrainOptions) -> None:
    """A trial's threads at its scale, all of the machine's for a full-size network."""
    import torch

    if not options.full:
        torch.set_num_threads(max(1, int(picked.problem.file.cluster.cpus_per_trial)))


def _train_seeds(
    picked: Pick, options: TrainOptions, records: bool, follow: Follow
) -> TrainedTrial:
    count = options.seeds or (SEEDS if options.output is None else 1)
    seeds = [picked.trial.seed]
    seeds += [replicate_seed(picked.trial.seed, number) for number in range(1, count)]
    known = {picked.trial.seed, *_recorded_seeds(picked)}
    result = TrainedTrial(picked.trial)
    with joined(_device(picked, options)) as processes:
        for seed in seeds:
            wanted, job = records and seed not in known, _job(picked, options, seed, follow)
            if options.output is not None:
                target = target_of(options.output, seed, count)
                training = KeptTraining(job, target, picked.origin, picked.name, follow, processes)
                result = _keep_one(picked, training, wanted, result)
            elif wanted:
                result = _repeat_one(picked, job, result, follow)
    return result


def _keep_one(
    picked: Pick, training: KeptTraining, wanted: bool, result: TrainedTrial
) -> TrainedTrial:
    """Train a network to keep, unless it is there; it may be a replicate at the same time."""
    started, metrics = datetime.now(UTC), training.there()
    trial = result.trial
    if metrics is None or wanted:
        finished, metrics = training.run()
        trial = _recorded(picked, training.job, finished, started) if wanted else trial
        training.forget()
    elif training.processes.first:
        seed = training.job.seed
        training.follow.tell(f"seed {seed}: {training.target} holds this training already")
    kept = {**result.kept, training.target: metrics} if training.processes.first else {}
    return TrainedTrial(trial, result.recorded + wanted, kept)


def _repeat_one(picked: Pick, job: Job, result: TrainedTrial, follow: Follow) -> TrainedTrial:
    """Train a replicate of the trial."""
    started = datetime.now(UTC)
    checkpoint = picked.folder.checkpoint_dir(picked.trial.number) / f"replicate-{job.seed}.pt"
    finished = job.run(checkpoint, follow.callbacks(job, kept=False), name=picked.name)
    trial = _recorded(picked, job, finished, started)
    checkpoint.unlink(missing_ok=True)
    if not any(checkpoint.parent.iterdir()):
        checkpoint.parent.rmdir()
    return TrainedTrial(trial, result.recorded + 1, result.kept)


def _recorded(picked: Pick, job: Job, finished: Finished, started: datetime) -> Trial:
    replicate = Replicate(
        picked.trial.number,
        job.seed,
        finished.metrics,
        *times(started),
        environment=str(describe()["id"]),
        constraints=picked.problem.violations(finished.metrics),
    )
    return record(picked, replicate)


def _device(picked: Pick, options: TrainOptions) -> str:
    accuracy = picked.problem.file.accuracy or Accuracy()
    return resolve_device(options.device or accuracy.device, turn=local_rank())


def _job(picked: Pick, options: TrainOptions, seed: int, follow: Follow) -> Job:
    accuracy = picked.problem.file.accuracy or Accuracy()
    scale = accuracy.proxy.resolution
    if options.full:  # a segmenter is counted for images of the paper's size, and trained on others
        scale = None if isinstance(picked.spec, TaskSpec) else picked.resolution
    if options.preset is not None:
        scale = preset_of(options.preset).resolution or scale
    return Job(
        searched=picked.spec,
        accuracy=accuracy,
        seed=seed,
        resolution=options.resolution or scale,
        full=options.full,
        device=_device(picked, options),
        start=Start(options.start, follow.tell) if options.start else None,
    )


def _recorded_seeds(picked: Pick) -> Iterable[int]:
    """Seeds of the trainings of this trial that the run holds already."""
    lines = read_lines(picked.folder.replicates_path, Replicate.from_json).records
    return [
        line.seed
        for line in lines
        if line.number == picked.trial.number
        and any(info and info.kind == "accuracy" for info in map(metric_info, line.metrics))
    ]
