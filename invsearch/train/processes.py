"""Processes: those that train one network together, started by ``torchrun`` or Ray Train."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from invsearch.errors import InputError
from invsearch.train.batches import Share

__all__ = ["ALONE", "Processes", "joined", "local_rank", "process_rank", "started_together"]
__all__ += ["summed"]


@dataclass(frozen=True)
class Processes:
    """This process among those that train one network; each method is a step of all of them.

    Attributes:
        share: Which of them this is.
    """

    share: Share = field(default_factory=Share)

    @property
    def alone(self) -> bool:
        return self.share.world == 1

    @property
    def first(self) -> bool:
        """Whether this is the process that writes and tells."""
        return self.share.rank == 0

    def mean(self, value: float) -> float:
        """The mean of what the processes have, each of them one number."""
        if self.alone:
            return value
        numbers = self.gathered(value)
        return float(sum(numbers) / len(numbers))

    def from_first(self, value: Any) -> Any:
        """What the first process has."""
        if self.alone:
            return value
        box = [value]
        dist.broadcast_object_list(box, src=0)
        return box[0]

    def gathered(self, value: Any) -> list[Any]:
        """What each process has, by rank."""
        if self.alone:
            return [value]
        found: list[Any] = [None] * self.share.world
        dist.all_gather_object(found, value)
        return found

    def wrapped(self, model: nn.Module, device: torch.device) -> nn.Module | None:
        """The model as all train it; None where this process is alone."""
        if self.alone:
            return None
        from torch.nn.parallel import DistributedDataParallel

        where = [device.index or 0] if device.type == "cuda" else None
        return DistributedDataParallel(model, device_ids=where)

    def check_batch(self, size: int) -> None:
        """Refuse a batch that the processes cannot share evenly: its mean would be another.

        Raises:
            InputError: With the sizes that can be shared.
        """
        world = self.share.world
        if size % world:
            below, above = size - size % world, size - size % world + world
            fits = f"{below} or {above}" if below else f"{above}"
            raise InputError(
                f"batch_size {size} does not divide among {world} processes: {fits} does"
            )


ALONE = Processes()


def started_together() -> int:
    """How many processes a launcher started for one training; 1 without one."""
    return _from_launcher("WORLD_SIZE", 1)


def process_rank() -> int:
    """Which of them this is, from 0."""
    return _from_launcher("RANK", 0) if started_together() > 1 else 0


def local_rank() -> int:
    """Which of this machine's processes this is, from 0."""
    return _from_launcher("LOCAL_RANK", 0) if started_together() > 1 else 0


def _from_launcher(name: str, default: int) -> int:
    text = os.environ.get(name, "")
    return int(text) if text.isdigit() else default


@contextmanager
def joined(device: str) -> Iterator[Processes]:
    """Join the processes that ``torchrun`` started, if it did, for as long as the block runs.

    Processes that have joined already, as Ray Train's have, stay so.

    Args:
        device: Where this process trains: on a GPU they talk over NCCL, else over gloo.

    Raises:
        InputError: If they cannot find each other.
    """
    if started_together() == 1:
        yield ALONE
        return
    if dist.is_initialized():
        yield Processes(Share(dist.get_rank(), dist.get_world_size()))
        return
    on_gpu = device.startswith("cuda")
    if on_gpu:
        torch.cuda.set_device(device)
    try:
        dist.init_process_group("nccl" if on_gpu else "gloo")
    except (RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"the processes of torchrun do not find each other: {reason}") from error
    try:
        yield Processes(Share(dist.get_rank(), dist.get_world_size()))
    finally:
        dist.destroy_process_group()


def summed(values: Tensor) -> Tensor:
    """The sum of a tensor over the processes, which gradients go back through."""
    total: Tensor = _Summed.apply(values)  # type: ignore[no-untyped-call]
    return total


class _Summed(torch.autograd.Function):
    """The derivative of a sum that every process uses is the sum of what they ask for."""

    @staticmethod
    def forward(context: Any, values: Tensor) -> Tensor:
        total = values.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        total = gradient.contiguous().clone()
        dist.all_reduce(total)
        return total
