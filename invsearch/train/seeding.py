"""Randomness that belongs to one trial and leaves the process's own untouched."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor

__all__ = [
    "epoch_seed",
    "isolated_rng",
    "process_seed",
    "rng_state",
    "seeded_build",
    "set_rng_state",
]

T = TypeVar("T")


def seeded_build(fn: Callable[[], T], seed: int) -> T:
    """Call ``fn``, such as the building of a model, as if the process were freshly seeded.

    Args:
        fn: Draws its random weights from torch's default generator.
        seed: Equal seeds give equal weights.
    """
    with isolated_rng(seed, torch.device("cpu")):
        return fn()


@contextmanager
def isolated_rng(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch's default generators of the CPU and the device, and restore them at the end."""
    cuda = device.type == "cuda"
    with torch.random.fork_rng(devices=[device] if cuda else []):
        torch.default_generator.manual_seed(seed)
        if cuda:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield


def rng_state(device: torch.device) -> dict[str, Tensor]:
    """Where torch's default generators stand, of the CPU and of the device."""
    state = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def set_rng_state(state: Mapping[str, Tensor], device: torch.device) -> None:
    """Put them there again; one that the state lacks, of another device, stays as it is."""
    torch.set_rng_state(state["cpu"].cpu())
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"].cpu(), device)


def epoch_seed(seed: int, epoch: int) -> int:
    """Return the seed of one epoch's order, augmentation and dropout.

    An epoch's randomness depends on nothing that came before it, so a resumed training draws
    what an uninterrupted one does.
    """
    return (seed * 1_000_003 + epoch + 1) % 2**32


def process_seed(seed: int, rank: int) -> int:
    """Return what a process draws its own part from; the first one, alone or not, from the seed."""
    return (seed + rank * 2_654_435_761) % 2**32  # Knuth's multiplier: far from the epochs' seeds
