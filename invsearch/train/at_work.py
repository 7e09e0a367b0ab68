"""A training's share of its device's lock: between two steps it gives way to who measures there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from invsearch.device_lock import shared
from invsearch.train.processes import Processes, local_rank

__all__ = ["at_work"]


@contextmanager
def at_work(device: torch.device, processes: Processes) -> Iterator[Callable[[], None]]:
    """Share the lock on a device for the length of a ``with`` block.

    Several processes that train together never give way within the block: who paused there would
    hold up the others in the midst of their steps, on this device and on others. Where they share
    a device one holds its lock for all: whoever waited for it would be waited for by the holder.

    Args:
        device: Where this process trains.
        processes: Those that train with it.

    Yields:
        What to call between two steps.
    """
    if not processes.alone and device.type == "cpu" and local_rank() > 0:
        yield _go_on
        return
    with shared(str(device)) as sharing:
        yield sharing.give_way if processes.alone else _go_on


def _go_on() -> None:
    pass
