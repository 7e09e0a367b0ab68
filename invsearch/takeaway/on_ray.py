"""Training one network by several workers of a Ray cluster, which Ray Train starts and restarts.

Workers run what the command would run under ``torchrun``, in the command's own folder: that, the
data and the folder of ``-o`` must be on storage that all nodes share. A worker that dies takes the
others down, and all go on from the checkpoint.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from invsearch.errors import InputError, InvsearchError, TrialError
from invsearch.search.executors.ray.cluster import connected
from invsearch.takeaway.named import train_named
from invsearch.takeaway.options import TrainOptions
from invsearch.takeaway.subject import subject_of
from invsearch.takeaway.train import TrainedTrial
from invsearch.takeaway.training import Follow
from invsearch.train.processes import process_rank

__all__ = ["Workers", "train_on_ray"]

_DEATHS = 3  # of workers, after which a training is given up: a node may go, a fault comes again
_ASKED_EVERY_S = 0.5  # for lines of progress: more often than anybody reads
_STORAGE = ".ray"  # in the output's folder; a name with a dot is nobody's


@dataclass(frozen=True)
class Workers:
    """Who trains.

    Attributes:
        address: ``HOST:PORT`` of the cluster, or ``auto``.
        count: How many, each with a GPU where the cluster has so many.
    """

    address: str
    count: int


def train_on_ray(
    words: str, options: TrainOptions, follow: Follow, workers: Workers
) -> TrainedTrial:
    """Train a full-size network and keep it, as :func:`train_named` does.

    Args:
        words: The network: ``rednet50``, a kept folder, its ``config.json``.
        options: What to train it on, and how; ``output`` and ``dataset`` are needed.
        follow: Who follows the training; lines alone come from the workers.
        workers: Who trains.

    Raises:
        InputError: If the network, an option or the cluster cannot be used.
        TrialError: If training diverges, or workers die again and again.
    """
    subject_of(words)
    if options.output is None:
        raise InputError(f"name the folder that {words} is to be kept in with -o FOLDER")
    follow.check(options.output)
    with connected(workers.address, None):
        return _fit(words, options, follow, workers)


def _fit(words: str, options: TrainOptions, follow: Follow, workers: Workers) -> TrainedTrial:
    os.environ.setdefault("RAY_TRAIN_V2_ENABLED", "1")
    import ray
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    assert options.output is not None
    resources = ray.cluster_resources()
    if resources.get("CPU", 0) < workers.count:
        raise InputError(
            f"--workers {workers.count}: the cluster has {resources.get('CPU', 0):g} CPUs, and a "
            "worker takes one at least"
        )
    storage = (options.output / _STORAGE).absolute()
    storage.mkdir(parents=True, exist_ok=True)
    messages: Any = ray.remote(num_cpus=0)(_Messages).remote()
    config = {"words": words, "options": options, "logs": follow.logs, "messages": messages}
    trainer = TorchTrainer(
        _loop,
        train_loop_config={**config, "folder": str(Path.cwd())},
        scaling_config=ScalingConfig(
            num_workers=workers.count, use_gpu=resources.get("GPU", 0) >= workers.count
        ),
        run_config=RunConfig(
            name="train",
            storage_path=str(storage),
            failure_config=FailureConfig(max_failures=_DEATHS),
        ),
    )
    ended = ""
    try:
        with _Lines(lambda: ray.get(messages.lines.remote()), follow.tell):
            trainer.fit()
    except Exception as error:  # Ray Train's own classes, whose names change with its versions
        ended = " ".join(str(error).split())[:300]
    finally:
        shutil.rmtree(storage, ignore_errors=True)
    failed: InvsearchError | None = ray.get(messages.failure.remote())
    if failed is not None:
        raise failed
    if ended:
        raise TrialError(f"the workers of Ray ended {_DEATHS + 1} times: {ended}")
    return ray.get(messages.trained.remote())  # type: ignore[no-any-return]


class _Messages:
    """An actor between the workers and the driver."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._failure: InvsearchError | None = None
        self._trained: TrainedTrial | None = None

    def tell(self, line: str) -> None:
        self._lines.append(line)

    def lines(self) -> list[str]:
        """Those that came since the last call."""
        lines, self._lines = self._lines, []
        return lines

    def fail(self, error: InvsearchError) -> None:
        self._failure = self._failure or error

    def failure(self) -> InvsearchError | None:
        return self._failure

    def end(self, trained: TrainedTrial) -> None:
        self._trained = trained

    def trained(self) -> TrainedTrial | None:
        return self._trained


class _Lines:
    """Tells the workers' lines while a block runs, and the last of them at its end."""

    def __init__(self, ask: Callable[[], list[str]], tell: Callable[[str], None]) -> None:
        self._ask, self._tell, self._over = ask, tell, threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            over = self._over.wait(_ASKED_EVERY_S)
            for line in self._ask():
                self._tell(line)
            if over:
                return


def _loop(config: dict[str, Any]) -> None:
    """What every worker runs; Ray Train has joined them already."""
    import ray

    messages = config["messages"]
    if ray.get(messages.failure.remote()) is not None:
        return  # it is no death that is made up for by another try
    os.chdir(config["folder"])
    first = process_rank() == 0

    def tell(line: str) -> None:
        if first:
            messages.tell.remote(line)

    try:
        trained = train_named(
            config["words"], config["options"], Follow(tell, None, config["logs"])
        )
    except InvsearchError as error:
        # what torch raises is how those who stay learn of a worker's death: that is tried again
        if not isinstance(error.__cause__, RuntimeError):
            ray.get(messages.fail.remote(error))
        raise
    if first:
        ray.get(messages.end.remote(trained))
