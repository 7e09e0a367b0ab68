"""The searched network scaled down, for training where the full size would take too long."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import ops
from invsearch.errors import InputError
from invsearch.models.arguments import checked
from invsearch.models.families.family import scaled_width
from invsearch.models.network import BlockSpec, NetworkSpec, StageSpec
from invsearch.models.task import TaskSpec
from ops.hyperparameter import Hyperparameter, positive_int

__all__ = ["proxy_spec", "proxy_task"]

_STEM_STRIDE = Hyperparameter(1, check=positive_int)
_POOL = Hyperparameter(False, allowed=(False, True))
_MULTIPLE = 4  # half of a network's own: at a quarter of the width 8 would round too coarsely


def proxy_spec(
    spec: NetworkSpec,
    *,
    width: float,
    stem_stride: int = 1,
    pool: bool = False,
    num_classes: int,
    in_channels: int,
) -> NetworkSpec:
    """Scale a network down for training on small images.

    Every width (the stem's too) is multiplied by ``width`` and rounded to a multiple of 4, and
    every operator is fitted to the channels that it then has (:meth:`ops.OpSpec.fit`). Everything
    else (blocks, operators, kernel sizes) is the searched network's own.

    Args:
        spec: The searched network.
        width: The proxy's width as a fraction of the searched network's.
        stem_stride: Stride of the stem's first convolution.
        pool: Whether the stem keeps its max pool, if it has one.
        num_classes: Classes of the training data.
        in_channels: Channels of the training images.

    Returns:
        The network to train.

    Raises:
        InputError: If an argument is impossible, or an operator cannot have the channels of a
            proxy, with the reason.
    """
    width = checked("width", width)
    stem = replace(
        spec.stem,
        channels=scaled_width(spec.stem.channels, width, _MULTIPLE),
        stride=checked("stem_stride", stem_stride, _STEM_STRIDE),
        pool=checked("pool", pool, _POOL) and spec.stem.pool,
    )
    stages = tuple(replace(s, width=scaled_width(s.width, width, _MULTIPLE)) for s in spec.stages)
    final = scaled_width(spec.final_channels, width, _MULTIPLE) if spec.final_channels else 0
    scaled = NetworkSpec(stem, stages, num_classes, in_channels, final)
    fitted: list[list[BlockSpec]] = [[] for _ in stages]
    for place, block in scaled.blocks():
        fitted[place.stage - 1].append(_fitted(block, place.part.inner_channels))
    return replace(scaled, stages=tuple(map(_with_blocks, stages, fitted)))


def proxy_task(
    spec: TaskSpec,
    *,
    width: float,
    stem_stride: int = 1,
    pool: bool = False,
    num_classes: int,
    in_channels: int,
) -> TaskSpec:
    """Scale a segmenter down: its backbone as :func:`proxy_spec` does, and its pyramid and head.

    Args:
        spec: The searched segmenter.
        width: The proxy's width as a fraction of its own.
        stem_stride: As for :func:`proxy_spec`, as are the others.
        pool: Whether the stem keeps its max pool, if it has one.
        num_classes: Classes of the training data.
        in_channels: Channels of the training images.

    Returns:
        The segmenter to train.

    Raises:
        InputError: As :func:`proxy_spec`.
    """
    backbone = proxy_spec(
        spec.backbone,
        width=width,
        stem_stride=stem_stride,
        pool=pool,
        num_classes=num_classes,
        in_channels=in_channels,
    )
    scaled = replace(
        spec,
        backbone=backbone,
        num_classes=num_classes,
        channels=scaled_width(spec.channels, width, _MULTIPLE),
        head_channels=scaled_width(spec.head_channels, width, _MULTIPLE),
    )
    return replace(
        scaled,
        neck=_fitted(spec.neck, scaled.channels),
        head=_fitted(spec.head, scaled.head_width),
    )


def _with_blocks(stage: StageSpec, blocks: list[BlockSpec]) -> StageSpec:
    return replace(stage, blocks=tuple(blocks))


@lru_cache(maxsize=4096)  # a search meets some hundreds of distinct blocks at some tens of widths
def _fitted(block: BlockSpec, channels: int) -> BlockSpec:
    try:
        settings = ops.get(block.operator).fit(channels, dict(block.hyperparameters))
    except ValueError as error:
        raise InputError(f"at the proxy's width: {error}") from error
    return BlockSpec(block.operator, tuple(sorted(settings.items())))
