"""RedNets against ResNets, trained on the whole of CIFAR-10 within a budget of seconds."""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from invsearch.bench.cifar10.data import decode
from invsearch.bench.cifar10.plan import FAMILIES, StudySetting, ordered
from invsearch.bench.cifar10.preparation import Preparation
from invsearch.bench.cifar10.process import WorkerProcess
from invsearch.bench.cifar10.queue import fit_epochs
from invsearch.bench.cifar10.study import Study
from invsearch.bench.cifar10.summary import lines, summarised
from invsearch.bench.cifar10.training import train_all
from invsearch.errors import InputError, StoppedError
from invsearch.models import PRESETS

__all__ = ["OUTPUT", "main"]

OUTPUT = Path("results/cifar10-gpu.json")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit code: 0, 1 if something is missing, 2 if it cannot begin."""
    options = _parser().parse_args(arguments)
    setting = StudySetting.of(vars(options))
    trainings = ordered(options.families, options.depths, options.seeds)
    command = shlex.join(["python", "-m", "invsearch.bench.cifar10", *(arguments or sys.argv[1:])])
    study = Study(
        setting,
        trainings,
        options.workers,
        options.seconds,
        options.output,
        command=command,
        together=options.together,
    )
    signal.signal(signal.SIGTERM, _stopped)
    try:
        with tempfile.TemporaryDirectory(prefix="cifar10-") as folder:
            _run(study, options, Path(folder))
    except InputError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except (StoppedError, KeyboardInterrupt):
        study.stopped = True
        study.note("stopped from outside")
    finally:
        WorkerProcess.end_all()
    path = study.save(final=not options.dry)
    print("\n".join(lines(summarised(study.records, study.timings))))
    print(f"written to {path} after {study.passed:.0f} s; complete: {study.complete}")
    return 0 if study.complete or options.dry else 1


def _run(study: Study, options: argparse.Namespace, folder: Path) -> None:
    preparation = Preparation(study)
    if options.dry:
        preparation.wait()
        return
    crew = [WorkerProcess() for _ in range(min(study.workers, len(study.trainings)))]
    counted = decode(options.data, folder, options.limit_images)
    with study.lock:
        study.images = counted
    study.say(f"decoded {study.images}")
    preparation.wait()
    study.say("prepared")
    if options.least_epochs is not None:
        fit_epochs(study, options.least_epochs)
    study.save()
    train_all(study, crew, folder, fail=options.die)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m invsearch.bench.cifar10", description=__doc__)
    add, own = parser.add_argument, StudySetting()
    add("--data", type=Path, required=True, help="folder of train.parquet and test.parquet")
    add("--depths", type=int, nargs="+", choices=list(PRESETS), default=[26, 38, 50])
    add("--families", nargs="+", choices=list(FAMILIES), default=list(FAMILIES))
    add("--seeds", type=int, default=3, help="trainings of each network")
    add("--epochs", type=int, default=own.epochs)
    add("--least-epochs", type=int, help="lower --epochs to this, so that every seed fits")
    add("--seconds", type=float, default=520.0, help="budget of the whole")
    add("--workers", type=int, default=3, help="trainings at a time")
    add("--together", type=float, help="their speed together over that of one alone, as a guess")
    add("--device", default=own.device)
    add("--precision", choices=["fp32", "bf16", "fp16"], default=own.precision)
    add("--batch-size", type=int, default=own.batch_size)
    add("--optimizer", choices=["sgd", "adamw"], default=own.optimizer)
    add("--lr", type=float, default=own.lr)
    add("--weight-decay", type=float, default=own.weight_decay)
    add("--warmup", type=float, default=own.warmup, help="share of the steps")
    add("--label-smoothing", type=float, default=own.label_smoothing)
    add("--cutout", type=float, default=own.cutout, help="side, as a share of the image's")
    add("--stem-stride", type=int, choices=[1, 2], default=own.stem_stride)
    add("--pool", action="store_true", help="keep the stem's max pool")
    add("--deep-stem", action="store_true", help="three 3x3 convolutions in the ResNets' stem")
    add("--width", type=float, default=own.width, help="multiplier of every width")
    add("--graphs", action="store_true", help="replay steps as CUDA graphs, if that works")
    add("--compile", action="store_true", help="torch.compile")
    add("--backend", choices=["cuda", "torch"], help="of every involution; default: the fastest")
    add("--limit-images", type=int, help="about the most images of each file")
    add("--dry", action="store_true", help="time some steps of each network and stop")
    add("--die", nargs="*", default=[], metavar="TRAINING", help=argparse.SUPPRESS)
    add("-o", "--output", type=Path, default=OUTPUT, help=f"default: {OUTPUT}")
    return parser


def _stopped(number: int, frame: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough: the file is to be written
    raise StoppedError(f"signal {number}")
