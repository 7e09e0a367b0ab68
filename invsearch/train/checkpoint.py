"""Checkpoints: whole or absent on disk, and read without unpickling anything but tensors."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from invsearch.atomic import write_atomic
from invsearch.errors import DiskError, InputError

__all__ = ["read_checkpoint", "read_weights", "write_checkpoint", "write_weights"]


def write_weights(weights: Mapping[str, Tensor], path: Path) -> None:
    """Write a state dict alone, as safetensors, atomically.

    Args:
        weights: Contiguous tensors on the CPU.
        path: Its folder is made where it is missing.

    Raises:
        DiskError: If it cannot be written: no fault of the training.
    """
    from safetensors.torch import save

    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        write_atomic(path, save(dict(weights)))
    except OSError as error:
        raise DiskError.of(error, path, "written") from error


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read what :func:`write_weights` wrote.

    Raises:
        InputError: If the file is missing or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        return load(path.read_bytes())
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path}: not readable weights: {error}") from error


def write_checkpoint(state: dict[str, Any], path: Path) -> None:
    """Write atomically: a kill leaves the former file or the new one.

    Args:
        state: Tensors, numbers and strings in dicts and lists.
        path: Its folder is made where it is missing.

    Raises:
        DiskError: If it cannot be written: no fault of the training.
    """
    buffer = io.BytesIO()  # torch reports what a file refuses as a RuntimeError without the reason
    torch.save(state, buffer)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, buffer.getvalue())
    except OSError as error:
        raise DiskError.of(error, path, "written") from error


def read_checkpoint(path: Path, device: torch.device) -> dict[str, Any]:
    """Read what :func:`write_checkpoint` wrote.

    Raises:
        InputError: If the file is missing or is not such a checkpoint.
    """
    try:
        # torch.load still reads its former format, a bare pickle: we never wrote it
        if not zipfile.is_zipfile(path):
            raise OSError("damaged or cut off" if path.is_file() else "no such file")
        state = torch.load(path, map_location=device, weights_only=True)
    except (OSError, RuntimeError, pickle.UnpicklingError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{path}: not a readable checkpoint: {reason}") from error
    if not isinstance(state, dict):
        raise InputError(f"{path}: not a checkpoint: holds {type(state).__name__}, not a dict")
    return state
