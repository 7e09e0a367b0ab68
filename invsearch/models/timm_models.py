"""timm: its networks, where it is installed."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from torch import nn

from invsearch.errors import InputError, nearest
from invsearch.models.torchvision_ops import complete_torchvision

__all__ = ["create", "import_timm", "timm_problem"]


def import_timm() -> Any:
    """Import timm.

    It imports torchvision, which is made whole where it is built for another torch: no network of
    timm's calls an operator of it.

    Raises:
        InputError: If it is not installed, or cannot be imported.
    """
    if "timm" in sys.modules:
        return sys.modules["timm"]
    complete_torchvision()
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
