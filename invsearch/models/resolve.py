"""From the parameters of an architecture to the network they describe."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import ops
from invsearch.errors import InputError, nearest
from invsearch.models.network import BlockSpec, NetworkSpec, StageSpec, StemSpec

if TYPE_CHECKING:
    from invsearch.space.architecture import Value

    _Items = tuple[tuple[str, Value], ...]

__all__ = ["FAMILIES", "NUM_STAGES", "PRESETS", "network_spec", "problem", "scaled_width"]

PRESETS: Mapping[int, tuple[int, ...]] = {
    26: (1, 2, 4, 1),
    38: (2, 3, 5, 2),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}
"""Blocks of the four stages by depth (the paper's RedNets; ResNets have the same)."""

FAMILIES: Mapping[str, str] = {"rednet": "involution", "resnet": "convolution"}
"""The operator a family's blocks have unless a parameter names another."""

NUM_STAGES = 4
_BASE_WIDTH = 64
_NETWORK = frozenset({"family", "depth", "width", "stem_kernel_size", "task", "neck", "head"})
_CONSTANT = frozenset({"num_classes", "in_channels", "resolution", "operators"})
_STAGE_NAME = re.compile(r"stage([1-9]\d*)\.(?:block([1-9]\d*)\.)?(\w+)")

_Place = tuple[int, int]
"""(stage, block), from 1; (0, 0) is the network, (stage, 0) the stage."""


def network_spec(model: Mapping[str, Any], parameters: Mapping[str, Value]) -> NetworkSpec:
    """Resolve an architecture's parameters to the network it describes.

    A block's setting is looked up by name at the block (``stage1.block2.kernel_size``), else at
    its stage (``stage1.kernel_size``), else at the network (``kernel_size``), else it is the
    default of the family (its operator) or of the operator (hyperparameters). A hyperparameter
    that a block's operator does not have is ignored there. Widths are ``64 * 2**i * width``,
    rounded to a multiple of 8.

    Args:
        model: ``family`` (``rednet`` or ``resnet``), ``num_classes``, ``in_channels`` and any
            parameter that is held constant.
        parameters: The parameters that vary; they go before constants of the same name.

    Returns:
        The network. Whether its operators fit its widths is for :func:`problem` to say.

    Raises:
        InputError: If a name or value is unknown, or the number of blocks is not given.
    """
    values = {**model, **parameters}
    family = values.get("family", "rednet")
    if family not in FAMILIES:
        raise InputError(
            f"family {family!r} is unknown: choose from {sorted(FAMILIES)}"
            f"{nearest(family, FAMILIES)}"
        )
    scopes: dict[_Place, list[tuple[str, Value]]] = {}
    for name, value in values.items():
        place, key = _scope(name)
        if key:
            scopes.setdefault(place, []).append((key, value))
    at = {place: tuple(items) for place, items in scopes.items()}
    width = values.get("width", 1.0)
    return NetworkSpec(
        _stem(family, width, values.get("stem_kernel_size", 7)),
        tuple(
            _stage(stage, width, _blocks(stage, model, parameters), FAMILIES[family], at)
            for stage in range(1, NUM_STAGES + 1)
        ),
        values.get("num_classes", 1000),
        values.get("in_channels", 3),
    )


def scaled_width(base: int, factor: float, multiple: int = 8) -> int:
    """``base * factor`` rounded to the nearest multiple (half up), at least one multiple."""
    return max(multiple, int(base * factor / multiple + 0.5) * multiple)


def problem(channels: int, block: BlockSpec) -> str | None:
    """Say why a block cannot have its operator at this width, or None if it can."""
    try:
        return _problem(channels, block)
    except KeyError as error:
        return str(error)


@lru_cache(maxsize=4096)
def _problem(channels: int, block: BlockSpec) -> str | None:
    return ops.get(block.operator).problem(channels, dict(block.hyperparameters))


@lru_cache(maxsize=65536)
def _scope(name: str) -> tuple[_Place, str]:
    """Split a parameter's name into its place and the setting ("": it is no block's setting)."""
    if name in _NETWORK or name in _CONSTANT:
        return (0, 0), ""
    match = _STAGE_NAME.fullmatch(name)
    stage, block, key = (int(match[1]), int(match[2] or 0), match[3]) if match else (0, 0, name)
    allowed = {"operator", *_hyperparameter_names(), *(["blocks"] if stage and not block else [])}
    if stage > NUM_STAGES or key not in allowed:
        known = allowed if stage else allowed | _NETWORK
        raise InputError(
            f"parameter {name!r} is unknown: a network has {NUM_STAGES} stages and, at this level, "
            f"{sorted(known)}{nearest(key, known)}"
        )
    return (stage, block), "" if key == "blocks" else key


def _hyperparameter_names() -> Iterable[str]:
    for operator in ops.names():
        with suppress(ImportError):  # a broken plugin is reported when it is asked for
            yield from ops.get(operator).hyperparameters


def _blocks(stage: int, model: Mapping[str, Any], parameters: Mapping[str, Value]) -> int:
    """The number of blocks: what varies goes before what is constant, a stage before the depth."""
    for values in (parameters, model):
        count = values.get(f"stage{stage}.blocks")
        if count is not None:
            if type(count) is not int or count < 1:
                raise InputError(f"stage{stage}.blocks is {count!r}: give a whole number >= 1")
            return count
        depth = values.get("depth", "custom")
        if isinstance(depth, int) and depth in PRESETS:
            return PRESETS[depth][stage - 1]
        if depth != "custom":
            raise InputError(
                f"depth {depth!r} is unknown: choose from {[*PRESETS, 'custom']}"
                f"{nearest(depth, PRESETS)}"
            )
    raise InputError(
        f"the blocks of stage {stage} are not given: set depth to one of {list(PRESETS)}, "
        f"or stage{stage}.blocks"
    )


@lru_cache(maxsize=1024)
def _stem(family: str, width: float, kernel_size: int) -> StemSpec:
    if type(kernel_size) is not int or kernel_size < 1 or kernel_size % 2 == 0:
        raise InputError(f"stem_kernel_size is {kernel_size!r}: give an odd number (3 or 7)")
    channels = _width(1, width)
    if family == "resnet":
        return StemSpec("resnet", channels)
    return StemSpec("rednet", channels, kernel_size)


def _width(stage: int, factor: float) -> int:
    if isinstance(factor, bool) or not isinstance(factor, int | float) or not factor > 0:
        raise InputError(f"width is {factor!r}: give a multiplier above 0, such as 0.5 or 1")
    return scaled_width(_BASE_WIDTH * 2 ** (stage - 1), factor)


def _stage(
    stage: int, width: float, count: int, operator: str, at: Mapping[_Place, _Items]
) -> StageSpec:
    above = at.get((0, 0), ()) + at.get((stage, 0), ())
    own = tuple([at.get((stage, block), ()) for block in range(1, count + 1)])
    return _resolved_stage(stage, width, operator, above, own)


@lru_cache(maxsize=65536)
def _resolved_stage(
    stage: int, width: float, operator: str, above: _Items, own: tuple[_Items, ...]
) -> StageSpec:
    blocks = tuple([_block(operator, above + items) for items in own])
    return StageSpec(_width(stage, width), 1 if stage == 1 else 2, blocks)


@lru_cache(maxsize=65536)
def _block(default: str, items: _Items) -> BlockSpec:
    """The block whose settings these are, the later of two of one name."""
    settings = dict(items)
    name = settings.get("operator", default)
    if name not in ops.names():
        raise InputError(
            f"operator {name!r} is not registered: choose from {sorted(ops.names())}"
            f"{nearest(name, ops.names())}"
        )
    operator = ops.get(str(name))
    own = {k: v for k, v in settings.items() if k in operator.hyperparameters}
    return BlockSpec(operator.name, tuple(sorted(operator.complete(own).items())))
