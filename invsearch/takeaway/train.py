"""Training one architecture again: further seeds for its run, or a network to keep."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from invsearch.data import resolve_dataset
from invsearch.errors import InputError
from invsearch.metrics import Metric, metric_info
from invsearch.models import TaskSpec
from invsearch.runs import Replicate, Trial, describe
from invsearch.runs.lines import read_lines
from invsearch.runs.outputs import check_output
from invsearch.search.seeds import replicate_seed
from invsearch.space import Accuracy
from invsearch.takeaway.device import check_device
from invsearch.takeaway.job import Finished, Job
from invsearch.takeaway.pick import Pick, locked, pick
from invsearch.takeaway.record import record, times
from invsearch.takeaway.saved import CONFIG, WEIGHTS, SavedNetwork, config_of, save_network
from invsearch.train import check_learnable, resolve_device
from invsearch.train.recipe import Recipe

__all__ = ["TrainOptions", "TrainedTrial", "train"]

SEEDS = 3  # the fewest with a deviation that is more than a difference
CHECKPOINT = "checkpoint.pt"
Told = Callable[[str], None]


@dataclass(frozen=True)
class TrainOptions:
    """What the command line adds to a run's recipe.

    Attributes:
        seeds: Seeds in all, the trial's own among them; None for 3, or 1 where networks are kept.
        epochs: Epochs; None for the run's.
        dataset: Data set; None for the run's.
        resolution: Side of the images in pixels; None for the proxy's, or with ``full`` the
            model's, of a segmenter the images' own.
        settings: ``accuracy.x=y`` each.
        full: Whether the full-size network is trained rather than the run's proxy of it.
        output: Where the networks are kept.
        device: Where to train; None for where the run's space file says.
    """

    seeds: int | None = None
    epochs: int | None = None
    dataset: str | None = None
    resolution: int | None = None
    settings: tuple[str, ...] = ()
    full: bool = False
    output: Path | None = None
    device: str | None = None

    @property
    def as_run(self) -> bool:
        """Whether what is trained is what the run trained, but for the seed."""
        changed = (self.epochs, self.dataset, self.resolution, self.settings or None)
        return not self.full and all(value is None for value in changed)


@dataclass(frozen=True)
class TrainedTrial:
    """What training brought.

    Attributes:
        trial: The trial, replicates folded in.
        recorded: How many replicates were added to the run.
        kept: Folder and metrics of each network that is kept.
    """

    trial: Trial
    recorded: int = 0
    kept: dict[Path, dict[str, Metric]] = field(default_factory=dict)


def train(run: str | Path, number: int, options: TrainOptions, tell: Told) -> TrainedTrial:
    """Train the architecture of a trial again, at the run's recipe or another one.

    At the run's recipe each further seed is a replicate: the trial's metrics become means over its
    seeds, and ``front.csv`` is derived anew. With an output folder the networks are kept, whatever
    the recipe. A killed training goes on from its last epoch when it is asked for again, and what
    is there already is not trained again.

    Args:
        run: The run's folder, or its name under ``results/``.
        number: The trial's number.
        options: What to train.
        tell: Takes lines of progress.

    Raises:
        InputError: If the run, the trial or the options cannot be used.
        TrialError: If training diverges.
    """
    if options.device is not None:
        check_device(options.device, auto=True)
    if not options.as_run and options.output is None:
        raise InputError(
            "another recipe or scale than the run's makes no replicate: keep the network with "
            "-o FOLDER, or leave out --full, --epochs, --dataset, --resolution and --set"
        )
    picked = pick(run, number, _settings(options), data=True)
    check_learnable(picked.spec)
    records = options.as_run and picked.trial.state == "complete" and _trains(picked)
    if options.output is None:
        _check_replicable(picked)
    elif options.output.exists() and not options.output.is_dir():
        raise InputError(f"-o {options.output} is a file: name a folder")
    else:
        check_output(options.output / CONFIG)  # before the training, not after it
    _set_threads(picked, options)
    with locked(picked.folder) if records else nullcontext():
        return _train_seeds(picked, options, records, tell)


def _settings(options: TrainOptions) -> list[str]:
    """The options as settings of the space file, which validates them."""
    for setting in options.settings:
        if not setting.startswith("accuracy."):
            raise InputError(f"--set {setting}: training takes accuracy.NAME=VALUE alone")
    if options.as_run:
        return []
    settings = list(options.settings)
    if options.epochs is not None:
        settings.append(f"accuracy.epochs={options.epochs}")
    if options.dataset is not None:
        settings.append(f"accuracy.dataset={resolve_dataset(options.dataset)}")
        settings.append("accuracy.folder=null")
    return [*settings, "search.rungs=[]"]  # nothing stops here, and rungs bound the epochs


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


def _train_seeds(picked: Pick, options: TrainOptions, records: bool, tell: Told) -> TrainedTrial:
    count = options.seeds or (SEEDS if options.output is None else 1)
    seeds = [picked.trial.seed]
    seeds += [replicate_seed(picked.trial.seed, number) for number in range(1, count)]
    known = {picked.trial.seed, *_recorded_seeds(picked)}
    result = TrainedTrial(picked.trial)
    for seed in seeds:
        wanted = records and seed not in known
        target = None if options.output is None else _target(options.output, seed, count)
        if target is None and not wanted:
            continue
        result = _train_one(picked, _job(picked, options, seed), target, wanted, result, tell)
    return result


def _train_one(
    picked: Pick, job: Job, target: Path | None, wanted: bool, result: TrainedTrial, tell: Told
) -> TrainedTrial:
    started, kept, trial = datetime.now(UTC), dict(result.kept), result.trial
    saved = _already(target, job) if target is not None else None
    if saved is not None and not wanted:
        tell(f"seed {job.seed}: {target} holds this training already")
        return TrainedTrial(trial, result.recorded, {**kept, saved.path: saved.metrics})
    folder = target or picked.folder.checkpoint_dir(picked.trial.number)
    checkpoint = folder / (CHECKPOINT if target else f"replicate-{job.seed}.pt")
    finished = job.run(checkpoint, tell)
    if target is not None:
        kept[target] = _keep(picked, job, finished, target)
    if wanted:
        replicate = Replicate(
            picked.trial.number,
            job.seed,
            finished.metrics,
            *times(started),
            environment=str(describe()["id"]),
        )
        trial = record(picked, replicate)
    _forget(checkpoint, picked if target is None else None)
    return TrainedTrial(trial, result.recorded + wanted, kept)


def _job(picked: Pick, options: TrainOptions, seed: int) -> Job:
    accuracy = picked.problem.file.accuracy or Accuracy()
    scale = accuracy.proxy.resolution
    if options.full:  # a segmenter is counted for images of the paper's size, and trained on others
        scale = None if isinstance(picked.spec, TaskSpec) else picked.resolution
    return Job(
        searched=picked.spec,
        accuracy=accuracy,
        seed=seed,
        resolution=options.resolution or scale,
        full=options.full,
        device=resolve_device(options.device or accuracy.device),
    )


def _target(output: Path, seed: int, count: int) -> Path:
    return output if count == 1 else output / f"seed-{seed}"


def _already(target: Path, job: Job) -> SavedNetwork | None:
    """The training that a folder holds, if it is this one."""
    if not (target / CONFIG).exists():
        inside = [path.name for path in target.iterdir()] if target.is_dir() else []
        # weights without a checkpoint are not what a kill leaves of a training
        ours = (CHECKPOINT, WEIGHTS) if CHECKPOINT in inside else ()
        foreign = [name for name in inside if name not in ours and name[0] != "."]
        if foreign:
            raise InputError(f"{target} holds other files: choose another folder with -o")
        return None
    saved = SavedNetwork.open(target)
    mine = {**job.describe(), "network": job.spec().to_json()}
    theirs = {**(saved.training or {}), "network": saved.spec.to_json()}
    theirs["recipe"] = Recipe.completed(theirs.get("recipe"))
    changed = [key for key in mine if mine[key] != theirs.get(key)]
    if changed:
        raise InputError(
            f"{target} holds another training (it differs in {', '.join(changed)}): choose another "
            "folder with -o"
        )
    return saved


def _keep(picked: Pick, job: Job, finished: Finished, target: Path) -> dict[str, Metric]:
    spec, resolution = job.spec(), job.data().resolution
    training = {**job.describe(), "environment": describe()}
    config = config_of(picked, spec, resolution, metrics=finished.metrics, training=training)
    data = job.data()
    config["classes"] = list(data.classes)
    config["normalisation"] = data.normalisation and data.normalisation.to_json()
    save_network(target, config, finished.weights)
    return SavedNetwork.open(target).metrics


def _forget(checkpoint: Path, picked: Pick | None) -> None:
    """Remove a checkpoint, and the run's folder for them when it was the last one."""
    checkpoint.unlink(missing_ok=True)
    if picked is not None and not any(checkpoint.parent.iterdir()):
        checkpoint.parent.rmdir()


def _recorded_seeds(picked: Pick) -> Iterable[int]:
    """Seeds of the trainings of this trial that the run holds already."""
    lines = read_lines(picked.folder.replicates_path, Replicate.from_json).records
    return [
        line.seed
        for line in lines
        if line.number == picked.trial.number
        and any(info and info.kind == "accuracy" for info in map(metric_info, line.metrics))
    ]
