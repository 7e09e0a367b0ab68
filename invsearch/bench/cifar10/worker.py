"""A process of the CIFAR-10 study: requests on standard input, events on output, a line each.

In processes of their own, because one network on small images leaves a GPU idle, and because a
fault on a GPU ends all that its process can do there.
"""

from __future__ import annotations

import base64
import json
import math
import os
import resource
import sys
import time
import traceback
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import ops
from invsearch.bench.cifar10.data import Images
from invsearch.bench.cifar10.plan import SIDE, StudySetting, Training
from invsearch.cost import count
from invsearch.data import ImageData, Scale
from invsearch.errors import TrialError
from invsearch.models import build
from invsearch.train import CaptureError, Trainer, seeded_build

__all__ = ["main"]

Tell = Callable[..., None]

TIMED_STEPS = 25
"""Of an epoch that is timed: half a second to two on a GPU, a hundredth of it noise."""

_LAYERS = ((64, 1, 16), (128, 2, 16), (512, 2, 4), (512, 1, 2))
"""Channels, stride and side of the first, one middle and the last involutions of a RedNet."""


def main() -> int:
    """Serve requests until the input ends."""
    # what a library prints must not come between the events
    events = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1, encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def tell(event: str, **values: Any) -> None:
        events.write(json.dumps({"event": event, **values}) + "\n")

    tell("ready")
    for line in sys.stdin:
        _serve(json.loads(line), tell)
    return 0


def _serve(request: dict[str, Any], tell: Tell) -> None:
    setting = StudySetting.of(request["setting"])
    try:
        if request["do"] == "prepare":
            trainings = [Training(**training) for training in request["trainings"]]
            _prepare(setting, trainings, tell)
            tell("done")
        else:
            if request.get("die"):  # a test's
                os._exit(9)
            record = _train(setting, Training(**request["training"]), Path(request["data"]), tell)
            tell("done", record=record)
    except Exception as error:
        traceback.print_exc()
        reason = (str(error).splitlines() or [""])[0]
        capture = isinstance(error, CaptureError)
        tell("failed", reason=f"{type(error).__name__}: {reason}", capture=capture)


def _train(setting: StudySetting, training: Training, folder: Path, tell: Tell) -> dict[str, Any]:
    """Train, watch, and test once at the end."""
    begin = time.perf_counter()
    images, cuda = Images.open(folder), setting.device.startswith("cuda")
    _forget_peak_memory(cuda)
    trainer = _trainer(setting, training, images.data)
    curve: list[dict[str, Any]] = []
    watched, seconds = {}, []
    while not trainer.done:
        started = time.perf_counter()
        point = {"epoch": trainer.epoch + 1, "train_loss": trainer.train_epoch()}
        seconds.append(time.perf_counter() - started)
        if setting.validates(trainer.epoch):
            watched = _judged(*trainer.score(images.data.val_images, images.data.val_labels))
            point["val_top1"] = watched["top1"]
        curve.append(point)
        tell("epoch", **point, seconds=seconds[-1])
    losses, hits = trainer.score(images.test_images, images.test_labels)
    steps = trainer.epoch * trainer.steps_per_epoch
    trained = steps * min(setting.batch_size, len(images.data.train_labels))
    return {
        **_identity(setting, training),
        "epochs": trainer.epoch,
        "steps": steps,
        "val": watched,
        "test": _judged(losses, hits),
        "test_hits": _packed(hits),
        "seconds": time.perf_counter() - begin,
        "training_seconds": sum(seconds),
        "images_per_s": trained / sum(seconds),
        "median_epoch_seconds": float(np.median(seconds)),
        "peak_memory_bytes": _peak_memory(cuda),
        "graphs": setting.graphs,
        "backend": _backend(setting),
        "curve": curve,
    }


def _identity(setting: StudySetting, training: Training) -> dict[str, Any]:
    counts = count(setting.spec(training), resolution=SIDE)
    return {
        "network": training.network,
        "family": training.family,
        "depth": training.depth,
        "seed": training.seed,
        "params": counts.params,
        "macs": counts.macs,
    }


def _trainer(setting: StudySetting, training: Training, data: ImageData) -> Trainer:
    network = seeded_build(lambda: build(setting.spec(training)), training.seed)
    _put_backend(network, setting.backend)
    recipe = setting.recipe()
    where = torch.device(setting.device)
    return Trainer(network, data, recipe, training.seed, where, graphs=setting.graphs)


def _put_backend(network: nn.Module, backend: str | None) -> None:
    for module in network.modules():
        if isinstance(module, ops.Involution2d):
            module.backend = backend


def _backend(setting: StudySetting) -> str:
    """The back end that involutions run on."""
    if setting.backend is not None or not setting.device.startswith("cuda"):
        return setting.backend or "auto"
    return "cuda" if ops.backends()["cuda"] == "available" else "torch"


def _judged(losses: Tensor, hits: Tensor) -> dict[str, Any]:
    """Loss and accuracy with their standard errors over the images."""
    number, share = len(hits), float(hits.double().mean())
    loss, spread = float(losses.mean()), float(losses.std())
    return {
        "images": number,
        "loss": loss if math.isfinite(loss) else None,
        "loss_se": spread / math.sqrt(number) if math.isfinite(spread) else None,
        "top1": 100 * share,
        "error": 100 * (1 - share),
        "error_se": 100 * math.sqrt(share * (1 - share) / number),
    }


def _packed(hits: Tensor) -> str:
    """A bit an image, for paired comparisons: base64 of numpy's packbits."""
    return base64.b64encode(np.packbits(hits.cpu().numpy()).tobytes()).decode()


def _forget_peak_memory(cuda: bool) -> None:
    if cuda:
        torch.cuda.init()  # without which there is no allocator to ask
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def _peak_memory(cuda: bool) -> int:
    if cuda:
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _prepare(setting: StudySetting, trainings: list[Training], tell: Tell) -> None:
    """Compile every kernel, check the operator, and time each network alone on the device."""
    cuda = setting.device.startswith("cuda")
    tell("environment", environment=_environment(), backends=dict(ops.backends()))
    rednets = [one for one in trainings if one.family == "rednet"]
    if cuda and rednets and setting.backend is None and _backend(setting) == "cuda":
        deepest = max(rednets, key=lambda one: one.depth)
        begin = time.perf_counter()
        try:
            compiled: int | str = _compile_kernels(setting, deepest)
        except Exception as error:  # they are compiled at first use then
            compiled = f"{type(error).__name__}: {error}"
        tell("kernels", compiled=compiled, seconds=time.perf_counter() - begin)
        tell("checked", **_layer_error(setting))
    data = _synthetic(setting)
    for training in trainings:
        timed = _timed(StudySetting.of({**setting.as_dict(), "graphs": False}), training, data)
        tell("timed", network=training.network, graphs=False, **timed)
        if setting.graphs:
            _time_graph(setting, training, data, timed, tell)
        if cuda:
            torch.cuda.empty_cache()


def _environment() -> dict[str, Any]:
    try:
        return ops.environment()
    except Exception as error:  # a description is not worth the study
        return {"failed": f"{type(error).__name__}: {error}"}


def _time_graph(
    setting: StudySetting, training: Training, data: ImageData, eager: dict[str, Any], tell: Tell
) -> None:
    """Time graphs too, and see whether they train as the same steps without them do."""
    try:
        timed = _timed(setting, training, data)
    except CaptureError as error:
        tell("graph", network=training.network, good=False, reason=str(error))
        return
    (first, last), (first_too, last_too) = eager["losses"], timed["losses"]
    learned = first - last
    good = abs(first - first_too) < 0.1 * first and abs(last - last_too) < 0.35 * abs(learned)
    reason = None if good else f"losses {timed['losses']}, without graphs {eager['losses']}"
    tell("graph", network=training.network, good=good, reason=reason)
    tell("timed", network=training.network, graphs=True, **timed)


def _timed(setting: StudySetting, training: Training, data: ImageData) -> dict[str, Any]:
    """Train two short epochs and time the second; the first compiles and warms up."""
    # a tenth of the rate: two trainings of the same steps stay close enough to be compared
    short = StudySetting.of({**setting.as_dict(), "epochs": 2, "lr": 0.1 * setting.lr})
    cuda = setting.device.startswith("cuda")
    _forget_peak_memory(cuda)
    trainer = _trainer(short, training, data)
    losses, seconds = [], 0.0
    for _ in range(2):
        begin = time.perf_counter()
        losses.append(trainer.train_epoch())  # ends by fetching the losses
        seconds = time.perf_counter() - begin
    batch = min(setting.batch_size, len(data.train_labels))
    return {
        "step_ms": 1e3 * seconds / trainer.steps_per_epoch,
        "images_per_s": trainer.steps_per_epoch * batch / seconds,
        "peak_memory_bytes": _peak_memory(cuda),
        "losses": losses,
    }


def _synthetic(setting: StudySetting) -> ImageData:
    """Images whose class shows in their colours: a network that trains at all learns it."""
    number = TIMED_STEPS * setting.batch_size if setting.device.startswith("cuda") else 64
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 10, (number,), generator=generator)
    colours = torch.randint(64, 192, (10, 3, 1, 1), generator=generator)
    noise = torch.randint(-60, 60, (number, 3, SIDE, SIDE), generator=generator)
    pixels = (colours[labels] + noise).to(torch.uint8)
    few = pixels[:16]
    return ImageData(pixels, labels, few, labels[:16], 10, "made", scale=Scale.of(pixels[:1000]))


def _compile_kernels(setting: StudySetting, training: Training) -> int:
    """Compile what a network's steps launch, side by side, and return how many kernels.

    A step whose launches are only noted tells which; compiled at first use they would be compiled
    one after the other, by each process again.
    """
    from ops.involution.backends.cuda import compiler as cuda_compiler
    from ops.involution.backends.cuda import launch as cuda_launch

    noted: dict[tuple[str, tuple[tuple[str, str], ...]], None] = {}

    def note(launch: cuda_launch.Launch, *_: Any) -> None:
        noted[launch.source, launch.defines] = None

    one = StudySetting.of({**setting.as_dict(), "graphs": False, "batch_size": 8, "epochs": 1})
    few = _synthetic(StudySetting.of({**one.as_dict(), "device": "cpu"}))
    few = replace(few, train_images=few.train_images[:8], train_labels=few.train_labels[:8])
    runs, cuda_launch.executor = cuda_launch.executor, note
    try:
        with suppress(TrialError):  # its numbers are what the memory held
            _trainer(one, training, few).train_epoch()
    finally:
        cuda_launch.executor = runs
    capability = torch.cuda.get_device_capability()
    with ThreadPoolExecutor(min(12, os.cpu_count() or 1)) as pool:
        return len(
            list(pool.map(lambda key: cuda_compiler.binary(key[0], key[1], capability), noted))
        )


def _layer_error(setting: StudySetting) -> dict[str, Any]:
    """How far a layer's output and gradients are from fp32, by this back end and by torch's.

    Returns:
        The largest relative ``error``, and ``allowed``: three times the error of torch's operators
        in the same precision.
    """
    dtype = {"fp16": torch.float16, "bf16": torch.bfloat16}.get(setting.precision, torch.float32)
    errors, allowed = [], []
    for channels, stride, side in _LAYERS:
        layer = ops.Involution2d(channels, stride=stride)
        layer = layer.to(setting.device)
        x = torch.randn(8, channels, side, side, device=setting.device)
        x = x.contiguous(memory_format=torch.channels_last)
        right = _gradients(layer, x, torch.float32, "torch")
        errors += _errors(_gradients(layer, x, dtype, None), right)
        allowed += _errors(_gradients(layer, x, dtype, "torch"), right)
    worst = max(errors) if all(map(math.isfinite, errors)) else math.inf
    return {"error": worst, "allowed": 3 * max(allowed) + 1e-3}


def _gradients(
    layer: nn.Module, x: Tensor, dtype: torch.dtype, backend: str | None
) -> list[Tensor]:
    """The output and the gradients of the input and the kernel generator's matrices."""
    _put_backend(layer, backend)
    x = x.clone().requires_grad_()
    low = dtype != torch.float32
    with torch.autocast(x.device.type, dtype if low else torch.bfloat16, enabled=low):
        y = layer(x)
    weights = [p for p in layer.parameters() if p.ndim > 1]
    upstream = torch.randn(y.shape, generator=torch.Generator().manual_seed(1))
    upstream = upstream.to(y.device, y.dtype)
    return [y.detach(), *torch.autograd.grad(y, [x, *weights], upstream)]


def _errors(found: Iterable[Tensor], right: Iterable[Tensor]) -> list[float]:
    return [
        float((a.float() - b.float()).norm() / b.float().norm().clamp_min(1e-12))
        for a, b in zip(found, right, strict=True)
    ]


if __name__ == "__main__":
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    sys.exit(main())
