"""`python -m invsearch.bench.cifar10`: RedNets against ResNets, trained on the whole of CIFAR-10.

Within a budget of seconds: whole comparisons first, several trainings at a time on one GPU, and
everything that is finished is on disk. Validation images are watched; the test images are looked at
once a training, at its end.
"""

from __future__ import annotations

import argparse
import json
import shlex
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from invsearch._version import __version__
from invsearch.bench.cifar10.data import decode
from invsearch.bench.cifar10.plan import FAMILIES, SIDE, StudySetting, Training, ordered
from invsearch.bench.cifar10.process import LateError, WorkerProcess
from invsearch.bench.cifar10.summary import lines, summarised
from invsearch.errors import InputError, StoppedError, TrialError
from invsearch.models import PRESETS

__all__ = ["OUTPUT", "SCHEMA", "Study", "main"]

SCHEMA = 1  # of the JSON; rises with every change that readers must know of
OUTPUT = Path("results/cifar10-gpu.json")

_EVALUATION_SHARE = 0.1
"""Of a training, on top of its steps: seven looks at 5,000 images and one at 10,000."""

_ATTEMPTS = 2
"""Of a training: again once, eagerly, where a graph or a process failed."""
_START_SECONDS = 3.0
"""Of a training before its first step, in a process that runs already."""

_OVERLAP = 1.3
"""A cautious guess of what processes gain by filling each other's waits for Python; unmeasured."""

_FITTED_SHARE = 0.93
"""Of what is left, that the fitted trainings may take: at the end processes run out one by one."""


@dataclass
class Study:
    """One run of the study: what is to be trained, and what was found so far.

    Attributes:
        setting: How networks are trained.
        trainings: What to train, in order.
        workers: Processes at a time.
        seconds: Budget of the whole.
        path: The file that it becomes.
        command: How it was called.
        together: How much faster all processes are together than one alone, until it is known;
            None for a guess.
        began: Seconds of the monotonic clock.
    """

    setting: StudySetting
    trainings: Sequence[Training]
    workers: int
    seconds: float
    path: Path
    command: str = ""
    together: float | None = None
    began: float = field(default_factory=time.monotonic)
    environment: dict[str, Any] | None = None
    backends: dict[str, str] | None = None
    images: dict[str, int] | None = None
    prepared: list[dict[str, Any]] = field(default_factory=list)
    timings: list[dict[str, Any]] = field(default_factory=list)
    records: list[dict[str, Any]] = field(default_factory=list)
    unfinished: dict[str, dict[str, Any]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    complete: bool = False
    stopped: bool = False
    training_began: float | None = None
    lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def passed(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self.began

    @property
    def deadline(self) -> float:
        """Of the monotonic clock."""
        return self.began + self.seconds

    @property
    def guessed_speed(self) -> float:
        """Seconds' worth of work alone that all processes do in one, before any has ended."""
        if self.together is not None:
            return self.together
        waits = not self.setting.graphs and self.setting.device != "cpu"
        return _OVERLAP if waits and self.workers > 1 else 1.0

    def note(self, line: str) -> None:
        """Say something, and keep it for the document."""
        with self.lock:
            self.notes.append(f"{self.passed:.0f} s: {line}")
        self.say(line)

    def say(self, line: str) -> None:
        """Print a line with the seconds passed."""
        print(f"[{self.passed:6.1f} s] {line}", flush=True)

    def alone_seconds(self, training: Training, epochs: int | None = None) -> float:
        """What a training would take alone on the device, from the timed steps."""
        rows = [row for row in self.timings if row["network"] == training.network]
        rows = [row for row in rows if row["graphs"] is self.setting.graphs] or rows
        if not rows or self.images is None:
            return 0.0
        batch = min(self.setting.batch_size, self.images["train"])
        steps = (epochs or self.setting.epochs) * (self.images["train"] // batch)
        timed = min(64, batch) if self.setting.device == "cpu" else batch
        step_s = float(rows[-1]["step_ms"]) / 1e3 * batch / timed
        return _START_SECONDS + steps * step_s * (1 + _EVALUATION_SHARE)

    def document(self) -> dict[str, Any]:
        """The JSON."""
        with self.lock:
            return {
                "schema": SCHEMA,
                "kind": "cifar10",
                "version": __version__,
                "complete": self.complete,
                "command": self.command,
                "seconds": self.passed,
                "budget_seconds": self.seconds,
                "environment": self.environment,
                "backends": self.backends,
                "resolution": SIDE,
                "images": self.images,
                "workers": self.workers,
                "setting": self.setting.as_dict(),
                "recipe": vars(self.setting.recipe()),
                "planned": [asdict(training) for training in self.trainings],
                "prepared": list(self.prepared),
                "timings": list(self.timings),
                "trainings": list(self.records),
                "unfinished": dict(self.unfinished),
                "notes": list(self.notes),
                "summary": summarised(self.records, self.timings),
            }

    def save(self, *, final: bool = False) -> Path:
        """Write the document: beside the file until the end, so that it replaces nothing before."""
        partial = self.path.with_suffix(".partial.json")
        with self.lock:
            partial.parent.mkdir(parents=True, exist_ok=True)
            fresh = partial.with_suffix(".new")
            fresh.write_text(json.dumps(self.document(), indent=1) + "\n", encoding="utf-8")
            fresh.replace(partial)
            return partial.replace(self.path) if final else partial


class Preparation:
    """The time before the first training: kernels, a check of the operator, timed steps.

    On a thread of its own while the images are decoded. What turns out not to work is left out:
    CUDA graphs first, then the CUDA back end.
    """

    def __init__(self, study: Study) -> None:
        self._study, self._wrong = study, False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Until it is over."""
        self._thread.join()

    def _run(self) -> None:
        study = self._study
        for setting in _fallbacks(study.setting):
            if self._wrong and setting.backend is None:
                continue
            with study.lock:
                study.setting = setting
                study.timings.clear()
            try:
                if self._try():
                    return
            except TrialError as error:
                study.note(f"preparing failed: {error}")
                if isinstance(error, LateError) and time.monotonic() >= study.deadline:
                    return
        study.note("no way to prepare worked: training without estimates")

    def _try(self) -> bool:
        study, worker = self._study, WorkerProcess()
        networks = {training.network: training for training in study.trainings}
        request = {
            "do": "prepare",
            "setting": study.setting.as_dict(),
            "trainings": [asdict(one) for one in networks.values()],
        }
        try:
            last = worker.ask(request, study.deadline, self._heard)
        finally:
            worker.end()
        if last["event"] == "failed":
            study.note(f"preparing failed: {last['reason']}")
            return False
        if self._wrong and study.setting.backend is None:
            study.note("the CUDA back end is left out: its layer is too far from fp32")
            return False
        if any(e["event"] == "graph" and not e["good"] for e in study.prepared):
            study.note("graphs are left out: they failed, or train otherwise than single launches")
            study.setting = replace(study.setting, graphs=False)
        return True

    def _heard(self, event: dict[str, Any]) -> None:
        study, kind = self._study, event["event"]
        with study.lock:
            if kind == "environment":
                study.environment, study.backends = event["environment"], event["backends"]
                machine = event["environment"]
                study.say(f"{machine.get('gpu') or machine.get('cpu_model')}")
            elif kind == "timed":
                study.timings.append({k: v for k, v in event.items() if k != "event"})
                how = "graphs" if event["graphs"] else "eager"
                speed = f"{event['step_ms']:.1f} ms a step, {event['images_per_s']:.0f} images/s"
                study.say(f"{event['network']} alone, {how}: {speed}")
            elif kind not in ("ready", "done"):
                study.prepared.append(event)
                if kind == "checked":
                    self._wrong = not event["error"] <= event["allowed"]
                study.say(str(event))
        study.save()


class Queue:
    """The trainings that are left, given to whoever asks for one that still fits."""

    def __init__(self, study: Study, *, fail: Sequence[str] = ()) -> None:
        self._study, self._left = study, list(study.trainings)
        self._attempts: dict[Training, int] = {}
        self._eager: set[Training] = set()
        self._running: set[Training] = set()
        self._dying = set(fail)

    def take(self) -> Training | None:
        """The next training, or None when none is left that fits what is left of the budget."""
        study = self._study
        with study.lock:
            while self._left and not study.stopped:
                training = self._left.pop(0)
                need, have = self._estimate(training), study.deadline - time.monotonic()
                if need <= have:
                    self._attempts[training] = self._attempts.get(training, 0) + 1
                    self._running.add(training)
                    return training
                self._leave_out(training, f"takes about {need:.0f} s, {max(have, 0):.0f} s left")
            return None

    def request(self, training: Training, data: Path) -> dict[str, Any]:
        """What a process is asked for."""
        setting = self._study.setting
        if training in self._eager:
            setting = replace(setting, graphs=False)
        first = self._attempts[training] == 1
        return {
            "do": "train",
            "setting": setting.as_dict(),
            "training": asdict(training),
            "data": str(data),
            "die": first and training.name in self._dying,
        }

    def failed(self, training: Training, reason: str) -> None:
        """Try it again if it may be, without graphs the next time."""
        study = self._study
        with study.lock:
            self._running.discard(training)
            again = self._attempts[training] < _ATTEMPTS and not study.stopped
            study.note(f"{training.name} failed: {reason}{'; once more' if again else ''}")
            if again:
                self._eager.add(training)
                self._left.insert(0, training)
            else:
                self._mark(training, reason)

    def done(self, training: Training) -> None:
        """It came to its end."""
        self._running.discard(training)

    def cut(self, training: Training, reason: str) -> None:
        """It was ended before its end."""
        self._running.discard(training)
        self._study.note(f"{training.name} was cut short: {reason}")
        self._mark(training, reason)

    def _leave_out(self, training: Training, reason: str) -> None:
        self._study.note(f"{training.name} is left out: {reason}")
        self._mark(training, reason)
        for partner in self._partners(training):
            self._left.remove(partner)
            self._study.note(f"{partner.name} is left out with it: alone it compares with nothing")
            self._mark(partner, f"left out with {training.name}")

    def _partners(self, training: Training) -> list[Training]:
        """What is left of the same depth and seed."""
        return [t for t in self._left if (t.depth, t.seed) == (training.depth, training.seed)]

    def _mark(self, training: Training, reason: str) -> None:
        with self._study.lock:
            self._study.unfinished.setdefault(training.name, {})["reason"] = reason

    def _estimate(self, training: Training) -> float:
        """Seconds until it would be done, sharing the device evenly with those that run.

        With its partner, if that has still to begin: one without the other compares with nothing.
        """
        pair = [training, *self._partners(training)]
        work = sum(self._study.alone_seconds(one) for one in pair)
        shared = sum(min(work, self._remaining(one)) for one in self._running)
        return (work + shared) / self._speed()

    def _remaining(self, training: Training) -> float:
        """What a running training would take alone from here on."""
        whole = self._study.alone_seconds(training)
        curve = self._study.unfinished.get(training.name, {}).get("curve", ())
        return whole * (1 - len(curve) / self._study.setting.epochs)

    def _speed(self) -> float:
        """Seconds' worth of work alone that all processes do in a second, as seen so far."""
        study = self._study
        if not study.records or study.training_began is None:
            return study.guessed_speed
        done = sum(study.alone_seconds(_training(record)) for record in study.records)
        done += sum(study.alone_seconds(one) - self._remaining(one) for one in self._running)
        return max(0.3, done / (time.monotonic() - study.training_began))


def train_all(
    study: Study, crew: Sequence[WorkerProcess], data: Path, *, fail: Sequence[str] = ()
) -> None:
    """Train what fits the budget, by these processes."""
    trainings = Queue(study, fail=fail)
    study.training_began = time.monotonic()
    threads = [
        threading.Thread(target=_work, args=(study, trainings, worker, data), daemon=True)
        for worker in crew
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():  # a join without end would not let a signal through
            thread.join(0.5)
    study.complete = len(study.records) == len(study.trainings)


def _work(study: Study, trainings: Queue, worker: WorkerProcess, data: Path) -> None:
    """What one thread does: give a process trainings, and replace it when it dies."""
    try:
        while (training := trainings.take()) is not None:
            if not worker.alive:
                worker = WorkerProcess()
            study.say(f"{training.name} begins")
            try:
                _train(study, trainings, training, worker, data)
            except LateError as error:
                trainings.cut(training, str(error))
            except TrialError as error:
                worker.end()
                trainings.failed(training, str(error))
    except Exception as error:
        study.note(f"a thread failed: {type(error).__name__}: {error}")
    finally:
        worker.end()


def _train(
    study: Study, trainings: Queue, training: Training, worker: WorkerProcess, data: Path
) -> None:
    def heard(event: dict[str, Any]) -> None:
        if event["event"] == "epoch":
            with study.lock:
                so_far = study.unfinished.setdefault(training.name, {"curve": []})
                so_far.setdefault("curve", []).append(event)
            if "val_top1" in event:
                study.say(f"{training.name}, epoch {event['epoch']}: {event['val_top1']:.2f} %")

    with study.lock:
        study.unfinished.pop(training.name, None)
    last = worker.ask(trainings.request(training, data), study.deadline, heard)
    if last["event"] == "failed":
        raise TrialError(last["reason"])
    with study.lock:
        trainings.done(training)
        study.records.append(last["record"])
        study.unfinished.pop(training.name, None)
        study.save()
    test, seconds = last["record"]["test"], last["record"]["seconds"]
    study.say(f"{training.name}: test error {test['error']:.2f} % after {seconds:.0f} s")


def fit_epochs(study: Study, least: int) -> None:
    """Lower the number of epochs, so that every training fits what is left of the budget."""
    have = study.deadline - time.monotonic()
    for epochs in range(study.setting.epochs, least - 1, -1):
        alone = sum(study.alone_seconds(training, epochs) for training in study.trainings)
        need = alone / study.guessed_speed
        if need <= _FITTED_SHARE * have or epochs == least:
            break
    if epochs < study.setting.epochs:
        study.note(
            f"{epochs} epochs instead of {study.setting.epochs}: all trainings "
            f"take about {need:.0f} s, and {have:.0f} s are left"
        )
        study.setting = replace(study.setting, epochs=epochs)


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


def _fallbacks(setting: StudySetting) -> list[StudySetting]:
    """The setting, then the same with less and less that may not work."""
    found = [setting]
    if setting.graphs:
        found.append(replace(setting, graphs=False))
    if setting.backend is None and setting.device != "cpu":
        found.append(replace(setting, graphs=False, backend="torch"))
    return found


def _training(record: dict[str, Any]) -> Training:
    return Training(record["family"], record["depth"], record["seed"])


def _stopped(number: int, frame: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough: the file is to be written
    raise StoppedError(f"signal {number}")
