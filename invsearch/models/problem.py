"""Why a block cannot have its operator."""

from __future__ import annotations

from functools import lru_cache

import ops
from invsearch.models.network import BlockSpec
from ops.hyperparameter import Refusal

__all__ = ["problem"]


def problem(channels: int, block: BlockSpec) -> Refusal | None:
    """Say why a block's operator cannot have this width, or return None if it can."""
    try:
        return _problem(channels, block)
    except KeyError as error:  # the registry's, whose text is a whole line
        return Refusal(str(error), "operator")


@lru_cache(maxsize=4096)  # a search meets some hundreds of distinct blocks at some tens of widths
def _problem(channels: int, block: BlockSpec) -> Refusal | None:
    return ops.get(block.operator).problem(channels, dict(block.hyperparameters))
