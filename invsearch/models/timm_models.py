"""timm: its networks, where it is installed."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from invsearch.errors import InputError, nearest

__all__ = ["create", "import_timm", "timm_problem"]

_MISSING = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
"""Operators that torchvision describes to torch as it is imported, whether it has them or not."""

_library: list[Any] = []  # a torch.library.Library takes its operators with it when it goes


def import_timm() -> Any:
    """Import timm.

    It imports torchvision, whose wheel for another build of torch has no operators of its own and
    fails on describing them. Those are then defined, without an implementation: no network of
    timm's calls them.

    Raises:
        InputError: If it is not installed, or cannot be imported.
    """
    if "timm" in sys.modules:
        return sys.modules["timm"]
    _complete_torchvision()
    try:
        import timm
    except ImportError as error:
        raise InputError(
            f"timm cannot be imported ({error}): pip install 'invsearch[timm]'"
        ) from error
    return timm


def timm_problem(name: str) -> str | None:
    """Say why timm can make no network of this name, or return None."""
    timm = import_timm()
    bare = name.partition(".")[0]
    if timm.is_model(bare):
        return None
    return f"timm has no network {name!r}{nearest(bare, timm.list_models())}"


def create(
    name: str, num_classes: int, in_channels: int, arguments: Mapping[str, Any]
) -> nn.Module:
    """Make a network of timm's, freshly initialised: nothing is loaded from a hub.

    Args:
        name: As ``timm.create_model`` takes it.
        num_classes: Classes of its head.
        in_channels: Channels of the images.
        arguments: Further ones, which timm checks.

    Raises:
        InputError: If there is no such network, or timm refuses an argument.
    """
    problem = timm_problem(name)
    if problem is not None:
        raise InputError(problem)
    made: nn.Module = import_timm().create_model(
        name, pretrained=False, num_classes=num_classes, in_chans=in_channels, **arguments
    )
    return made


def _complete_torchvision() -> None:
    """Define what torchvision describes and cannot load, once."""
    if _library or "torchvision" in sys.modules:
        return
    try:
        import torchvision  # noqa: F401

        return
    except ImportError:
        return  # timm itself says what it is that is missing
    except RuntimeError:
        for module in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[module]
    library = torch.library.Library("torchvision", "FRAGMENT")
    _library.append(library)
    for schema in _MISSING:
        name = f"torchvision::{schema.partition('(')[0]}"
        try:
            torch._C._dispatch_has_kernel_for_dispatch_key(name, "Meta")
        except RuntimeError:  # not there
            library.define(schema)
