"""The released RedNet checkpoints: their format, read into our networks."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from invsearch.errors import InputError
from invsearch.models.arguments import checked
from invsearch.models.build import Network, rednet
from invsearch.models.checkpoint import read_checkpoint, state_of

__all__ = ["from_official", "is_official"]

_LOG = logging.getLogger(__name__)

_GROUP_CHANNELS = 16  # of every released network; the checkpoints do not say it
_STEM, _HEAD = "backbone.stem.0.conv.weight", "head.fc.weight"
_OF_BACKBONE = re.compile(r"(stem|layer[1-4])\.")
_STEM_SPAN = "backbone.stem.1.conv2.conv.weight"
_BLOCK = re.compile(r"backbone\.layer([1-4])\.(\d+)\.conv2\.conv2\.conv\.weight")
_RENAMES = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"backbone\.stem\.0\.conv\.", "stem.0."),
        (r"backbone\.stem\.0\.bn\.", "stem.1."),
        (r"backbone\.stem\.1\.", "stem.3."),
        (r"backbone\.stem\.2\.", "stem.4."),
        (r"backbone\.stem\.4\.conv\.", "stem.6."),
        (r"backbone\.stem\.4\.bn\.", "stem.7."),
        (r"backbone\.layer(\d)\.(\d+)\.conv2\.", r"layer\1.\2.operator."),
        (r"(stem\.3|operator)\.conv1\.conv\.", r"\1.generator.reduce."),
        (r"(stem\.3|operator)\.conv1\.bn\.", r"\1.generator.norm."),
        (r"(stem\.3|operator)\.conv2\.conv\.", r"\1.generator.span."),
        (r"backbone\.", ""),
        (r"layer1\.", "stages.0."),
        (r"layer2\.", "stages.1."),
        (r"layer3\.", "stages.2."),
        (r"layer4\.", "stages.3."),
        (r"head\.fc\.", "head."),
    )
)


def from_official(
    checkpoint: Mapping[str, Any] | str | Path, *, num_classes: int | None = None
) -> Network:
    """Build the RedNet of a released checkpoint and load its weights.

    Depth, kernel sizes (the stem's is 3 or 7), widths of the head and of the images are inferred
    from the checkpoint's own keys and shapes.

    Args:
        checkpoint: The state dict, bare or as trainings save it (in ``state_dict``, ``model``,
            ``ema``, ...; keys with ``module.``, ``_orig_mod.``, ...), or the path of a ``.pth``
            (read with ``weights_only=True``) or ``.safetensors`` file.
        num_classes: Width of the head; default: the checkpoint's, 0 where it has no head. For any
            other number the head is freshly initialised, which is logged as a warning; 0 leaves
            it out.

    Returns:
        The network in training mode; forward takes images (B, 3, H, W) to logits.

    Raises:
        InputError: If the file cannot be read or is no RedNet classification checkpoint.
    """
    if isinstance(checkpoint, str | Path):
        checkpoint = read_checkpoint(Path(checkpoint))
    state = _rooted(state_of(checkpoint))
    saved = _shape(_HEAD, state[_HEAD])[0] if _HEAD in state else 0
    wanted = saved if num_classes is None else checked("num_classes", num_classes)
    network = _network(state, wanted)
    renamed = {_rename(key): value for key, value in state.items()}
    if wanted != saved:
        renamed = _with_head_of(network, renamed)
    if wanted not in (0, saved):
        found = f"a head of {saved} classes" if saved else "no head"
        _LOG.warning(
            "the checkpoint has %s: that of the network, of %d, is freshly initialised",
            found,
            wanted,
        )
    elif not saved:
        _LOG.warning(
            "the checkpoint has no head: the network gives pooled features (num_classes 0)"
        )
    _check(network, renamed, {_rename(key): key for key in state})
    network.load_state_dict(renamed)
    return network


def is_official(checkpoint: Mapping[str, Any]) -> bool:
    """Whether a checkpoint has the names of the released ones, whatever is wrapped around it."""
    return _STEM in _rooted(state_of(checkpoint))


def _rooted(state: Mapping[str, Any]) -> dict[str, Any]:
    """The state with the keys of the released files, whatever was put before them."""
    marked = [key for key in state if key.endswith(_STEM.removeprefix("backbone."))]
    if len(marked) != 1:  # none, or several networks in one: what follows says what is amiss
        return dict(state)
    place = marked[0].removesuffix(_STEM.removeprefix("backbone."))
    root = place.removesuffix("backbone.")
    if place != root:
        return {key.removeprefix(root): value for key, value in state.items()}
    return {
        f"backbone.{key.removeprefix(root)}" if _OF_BACKBONE.match(key.removeprefix(root)) else key:
        value for key, value in state.items()
    }  # fmt: skip


def _with_head_of(network: Network, state: Mapping[str, Any]) -> dict[str, Any]:
    body = {key: value for key, value in state.items() if not key.startswith("head.")}
    own = network.state_dict()
    return body | {key: value for key, value in own.items() if key.startswith("head.")}


def _network(state: Mapping[str, Any], num_classes: int) -> Network:
    """An empty network with the shapes that the checkpoint's keys imply."""
    blocks = {(int(m[1]), int(m[2])): key for key in state if (m := _BLOCK.fullmatch(key))}
    counts = [sum(stage == number for stage, _ in blocks) for number in range(1, 5)]
    needed = (_STEM_SPAN, _STEM)
    missing = [key for key in needed if key not in state]
    if missing or 0 in counts:
        first = (missing or ["backbone.layerN.*.conv2.conv2.conv.weight in every stage"])[0]
        raise InputError(
            f"this is no released RedNet classification checkpoint: it has no {first!r} "
            f"(its first keys: {', '.join(list(state)[:3]) or 'none'})"
        )
    stages = [{"blocks": count} for count in counts]
    for (stage, block), key in blocks.items():
        stages[stage - 1][f"block{block + 1}.kernel_size"] = _kernel_size(
            key, state[key], 64 * 2 ** (stage - 1)
        )
    shapes = [_shape(key, state[key]) for key in needed]
    return rednet(
        None,
        num_classes=num_classes,
        in_channels=shapes[1][1],
        stem_kernel_size=_kernel_size(_STEM_SPAN, state[_STEM_SPAN], 32),
        stages=stages,
    )


def _kernel_size(key: str, span: object, channels: int) -> int:
    rows = _shape(key, span)[0]
    size = math.isqrt(rows * _GROUP_CHANNELS // channels)
    if size % 2 == 0 or size * size * channels != rows * _GROUP_CHANNELS:
        raise InputError(
            f"{key} has {rows} output channels, which is K * K * {channels // _GROUP_CHANNELS} for "
            "no odd K: this is no released RedNet"
        )
    return size


def _shape(key: str, value: object) -> tuple[int, ...]:
    if not isinstance(value, Tensor) or value.dim() < 2:
        raise InputError(f"{key} is no weight tensor: this is no released RedNet")
    return tuple(value.shape)


def _rename(key: str) -> str:
    for pattern, replacement in _RENAMES:
        key = pattern.sub(replacement, key, count=1)
    return key


def _check(network: Network, state: Mapping[str, Any], original: Mapping[str, str]) -> None:
    own = network.state_dict()
    for key in sorted(own.keys() ^ state.keys()):
        if key in own:
            raise InputError(f"the checkpoint has nothing for {key}: this is no released RedNet")
        raise InputError(f"the checkpoint holds {original[key]!r}, which no released RedNet has")
    for key, value in own.items():
        if not isinstance(state[key], Tensor) or state[key].shape != value.shape:
            found = getattr(state[key], "shape", type(state[key]).__name__)
            raise InputError(f"{original[key]!r} is {found}, expected {tuple(value.shape)}")
