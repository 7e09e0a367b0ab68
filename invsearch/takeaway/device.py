"""Checking that a device is there before anything is spent on it."""

from __future__ import annotations

import re

import torch

from invsearch.errors import InputError

__all__ = ["check_device"]


def check_device(name: str) -> str:
    """Return the name of a device that is there.

    Raises:
        InputError: If it is no device's name, or there is no such device here.
    """
    match = re.fullmatch(r"cpu|cuda(?::(\d+))?", name)
    if match is None:
        raise InputError(f"--device {name!r} is none of cpu, cuda and cuda:N")
    if name == "cpu":
        return name
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if int(match[1] or 0) >= count:
        there = f"there are {count} CUDA devices, from cuda:0" if count else "torch sees no GPU"
        raise InputError(f"--device {name} is not here: {there}")
    return name
