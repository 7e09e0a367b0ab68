"""Checkpoints as people save them: read without unpickling code, wrappers taken off."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from invsearch.errors import InputError
from invsearch.models.arguments import shown

__all__ = ["read_checkpoint", "state_of"]

_ENTRIES = (  # averaged weights first, as timm has it: they are what was evaluated
    "state_dict_ema", "model_ema", "ema_state_dict", "ema", "state_dict", "model_state_dict",
    "model_state", "model", "network", "net", "module",
)  # fmt: skip
"""Under which a training's file has the weights, in the order in which they are taken."""

_WRAPPERS = frozenset(
    {"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "ema_model"}
)
"""What data parallelism, compiling, FSDP, checkpointing and averaging put around a module."""

_COUNTERS = frozenset({"n_averaged"})  # what an averaged model has beside the model
_SHOWN = 3  # names of refused globals in a line


def read_checkpoint(path: Path) -> Mapping[str, Any]:
    """Read a ``.safetensors`` or torch file onto the CPU, without unpickling code.

    Raises:
        InputError: If it is missing or not such a file; what torch refuses to unpickle is named.
    """
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of pickles that torch did not write
            data = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        culprits = _refused_globals(path)
        if culprits:
            raise InputError(f"{path}: {_refusal(culprits)}") from error
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(f"{path}: no checkpoint can be read from it: {reason}") from error
    if not isinstance(data, Mapping):
        raise InputError(f"{path}: holds a {type(data).__name__}, not a state dict")
    return data


def state_of(checkpoint: object) -> dict[str, Any]:
    """The state dict within a checkpoint, its keys without the names of wrappers.

    Args:
        checkpoint: A state dict or a module, bare or in a dict of a training's (``model``, ``ema``,
            ``state_dict``, ...), in any nesting; averaged weights go before others.

    Raises:
        InputError: If it is something else.
    """
    if isinstance(checkpoint, nn.Module):
        checkpoint = checkpoint.state_dict()
    if not isinstance(checkpoint, Mapping):
        raise InputError(
            f"the checkpoint is {shown(checkpoint)}: give a state dict, or the path of a file"
        )
    for name in _ENTRIES:
        inner = checkpoint.get(name)
        if isinstance(inner, Mapping | nn.Module):
            return state_of(inner)
    if "state_dict" in checkpoint:
        kind = type(checkpoint["state_dict"]).__name__
        raise InputError(f"the checkpoint's state_dict is a {kind}, not a dict")
    return {_bare(str(key)): value for key, value in checkpoint.items() if key not in _COUNTERS}


def _bare(key: str) -> str:
    return ".".join(part for part in key.split(".") if part not in _WRAPPERS)


def _refused_globals(path: Path) -> list[str]:
    """Names in a torch file that ``weights_only`` does not load; found without unpickling."""
    try:
        return sorted(torch.serialization.get_unsafe_globals_in_checkpoint(path))
    except Exception:  # no zip file of torch's: missing, or of another format
        return _pickled_globals(path)


def _pickled_globals(path: Path) -> list[str]:
    """The same in a plain pickle, or in what torch wrote before 1.6, which is several."""
    import pickletools

    found: set[str] = set()
    safe = torch._weights_only_unpickler._get_allowed_globals()
    texts: list[str] = []
    try:
        with path.open("rb") as file:
            while file.peek(1):
                for code, argument, _ in pickletools.genops(file):
                    if code.name == "GLOBAL":
                        found.add(str(argument).replace(" ", "."))
                    elif code.name == "STACK_GLOBAL":
                        found.add(".".join(texts[-2:]))
                    elif isinstance(argument, str):
                        texts.append(argument)
    except (OSError, ValueError):  # no pickle (any more): storages follow
        pass
    return sorted(found - set(safe)) if found else []


def _refusal(culprits: list[str]) -> str:
    more = f" and {len(culprits) - _SHOWN} more" if len(culprits) > _SHOWN else ""
    return (
        f"holds {', '.join(culprits[:_SHOWN])}{more}, which torch does not load with weights_only "
        "since unpickling may run code; where you trust the file, load it with torch.load(FILE, "
        "weights_only=False), and torch.save its state dict alone to a new file"
    )
