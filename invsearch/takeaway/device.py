"""Checking that a device is there before anything is spent on it."""

from __future__ import annotations

from invsearch.errors import InputError
from invsearch.train.device import AUTO, resolve_device

__all__ = ["check_device"]


def check_device(name: str, *, auto: bool = False) -> str:
    """Return the name of a device that is there.

    Args:
        name: What ``--device`` said.
        auto: Whether it may leave the choice to us.

    Raises:
        InputError: If it is no device's name, or there is no such device here.
    """
    if name == AUTO and not auto:
        raise InputError("--device 'auto' is none of cpu, cuda and cuda:N")
    try:
        found = resolve_device(name)
    except InputError as error:
        raise InputError(f"--{error}") from None
    return found if name == AUTO else name
