"""Where a network is trained, and in which precision: what a space file asks for, made concrete."""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch

from invsearch.errors import InputError
from invsearch.train.precision import Precision

__all__ = ["AUTO", "devices_here", "resolve_device", "resolve_precision"]

AUTO = "auto"

_FAST: dict[str, Precision] = {"cuda": "bf16", "cpu": "fp32"}
"""What ``precision: auto`` is: tensor cores want bf16, which needs no scaling of the loss; a CPU
without AMX converts back and forth, and is slower in it."""


def devices_here() -> tuple[str, ...]:
    """The GPUs that this process may use, the first one first: of a worker those Ray assigned.

    Ray hides all others from a worker that reserved some (``cluster.gpus_per_trial``).
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return tuple(f"cuda:{index}" for index in range(count))


def resolve_device(wanted: str, here: Sequence[str] | None = None, *, turn: int = 0) -> str:
    """Return the device that a word stands for.

    Args:
        wanted: ``auto`` (a GPU where there is one, else the CPU), ``cpu``, ``cuda`` (any GPU) or
            ``cuda:N``.
        here: The GPUs there are; None for :func:`devices_here`.
        turn: Which of several GPUs, in turns: trainings that share them take different ones.

    Raises:
        InputError: If it is no device's word, or there is no such device here.
    """
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", wanted):
        raise InputError(f"device {wanted!r} is none of auto, cpu, cuda and cuda:N")
    gpus = devices_here() if here is None else tuple(here)
    if wanted == "cpu" or (wanted == AUTO and not gpus):
        return "cpu"
    if wanted in (AUTO, "cuda") and gpus:
        return gpus[turn % len(gpus)]
    if wanted in gpus:
        return wanted
    there = f"there are {', '.join(gpus)}" if gpus else "torch sees no GPU"
    raise InputError(
        f"device {wanted} is not here: {there}; auto takes a GPU where there is one, else the CPU"
    )


def resolve_precision(wanted: str, device: str) -> Precision:
    """Return what a network computes in on a device; ``auto`` is bf16 on a GPU, fp32 on a CPU."""
    if wanted == AUTO:
        return _FAST[device.partition(":")[0]]
    return wanted  # type: ignore[return-value]  # Recipe checks it
