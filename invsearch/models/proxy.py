"""The searched network scaled down, for training where the full size would take too long."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

from invsearch.models.blocks import largest_divisor
from invsearch.models.network import BlockSpec, NetworkSpec, StageSpec
from invsearch.models.resolve import scaled_width

if TYPE_CHECKING:
    from invsearch.space.architecture import Value

__all__ = ["proxy_spec"]

_MULTIPLE = 4
_CHANNEL_SETTINGS = ("group_channels", "head_channels")


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

    Every width (the stem's too) is multiplied by ``width`` and rounded to a multiple of 4. Group
    and head channels become the largest divisor of the proxy's channels that is not above the
    searched value; a reduction is lowered where it would leave fewer than 4 channels. Everything
    else (blocks, operators, kernel sizes) is the searched network's own.

    Args:
        spec: The searched network.
        width: The proxy's width as a fraction of the searched network's.
        stem_stride: Stride of the stem's first convolution.
        pool: Whether the stem ends in a max pool.
        num_classes: Classes of the training data.
        in_channels: Channels of the training images.

    Returns:
        The network to train.
    """
    return NetworkSpec(
        replace(
            spec.stem,
            channels=scaled_width(spec.stem.channels, width, _MULTIPLE),
            stride=stem_stride,
            pool=pool,
        ),
        tuple(_stage(stage, width) for stage in spec.stages),
        num_classes,
        in_channels,
    )


def _stage(spec: StageSpec, width: float) -> StageSpec:
    channels = scaled_width(spec.width, width, _MULTIPLE)
    return StageSpec(channels, spec.stride, tuple(_block(b, channels) for b in spec.blocks))


@lru_cache(maxsize=4096)
def _block(spec: BlockSpec, channels: int) -> BlockSpec:
    return BlockSpec(
        spec.operator, tuple((name, _fit(name, v, channels)) for name, v in spec.hyperparameters)
    )


def _fit(name: str, value: Value, channels: int) -> Value:
    if name in _CHANNEL_SETTINGS and isinstance(value, int):
        return largest_divisor(channels, value)
    if name == "reduction" and isinstance(value, int):
        return max(1, min(value, channels // 4))
    return value
