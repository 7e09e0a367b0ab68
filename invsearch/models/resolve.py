"""From the parameters of an architecture to the network they describe."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import ops
from invsearch.errors import InputError, nearest
from invsearch.models.arguments import ARGUMENTS, plain, require, shown
from invsearch.models.families import FAMILIES, Family
from invsearch.models.network import BlockSpec, NetworkSpec, StageSpec
from ops.hyperparameter import Hyperparameter, positive_int

if TYPE_CHECKING:
    from invsearch.space.architecture import Value

    _Items = tuple[tuple[str, Value, type], ...]
    """Names and values, with types since a cache would take True and 1.0 for 1."""

__all__ = ["family_settings", "known_family", "network_spec", "skeleton"]

_CUSTOM = "custom"  # the depth of a network whose stages each give their blocks
_NETWORK = frozenset({"family", "depth", "width", "task", "neck", "head"})
_UNREAD = frozenset({"resolution", "operators"})  # of a space's model; they change no network
_CONSTANT = frozenset({"num_classes", "in_channels", "global_pool", *_UNREAD})
_STAGE_NAME = re.compile(r"stage([1-9]\d*)\.(?:block([1-9]\d*)\.)?(\w+)")

_BLOCKS = Hyperparameter(1, check=positive_int)

_Scope = tuple[int, int]
"""(stage, block), from 1; (0, 0) is the network, (stage, 0) the stage."""


def network_spec(model: Mapping[str, Any], parameters: Mapping[str, Value]) -> NetworkSpec:
    """Resolve an architecture's parameters to the network it describes.

    A block's setting is looked up by name at the block (``stage1.block2.kernel_size``), else at
    its stage (``stage1.kernel_size``), else at the network (``kernel_size``), else it is the
    default of the family (its operator, and what it says of that) or of the operator. A
    hyperparameter that a block's operator does not have is ignored there, and so is a setting that
    another family has. Widths are the family's times ``width``, rounded to a multiple of 8.

    Args:
        model: ``family`` (one of ``FAMILIES``), ``num_classes``, ``in_channels`` and any
            parameter that is held constant.
        parameters: The parameters that vary; they go before constants of the same name.

    Returns:
        The network. Whether its operators fit its widths is for :func:`problem` to say.

    Raises:
        InputError: If a name or value is unknown, or the number of blocks is not given.
    """
    parameters = _plain(parameters)  # an Architecture looks each name up from the front
    model = _plain({name: model[name] for name in model if name not in _UNREAD})
    values = {**model, **parameters}
    family = known_family(values.get("family", "rednet"))
    _require_depth(family, values.get("depth", _CUSTOM))
    number_of_stages = len(family.stages)
    scopes: dict[_Scope, list[tuple[str, Value, type]]] = {}
    for name, value in values.items():
        place, key = _scope(name, number_of_stages)
        if key:
            scopes.setdefault(place, []).append((key, value, type(value)))
    at = {place: tuple(items) for place, items in scopes.items()}
    own = tuple([(n, values[n], type(values[n])) for n in family.settings if n in values])
    bare = skeleton(family.name, values.get("width", ARGUMENTS["width"].default), own)
    network = at.get((0, 0), ())
    stages = []
    for number in range(1, number_of_stages + 1):
        count = _blocks(family, number, model, parameters)
        above = network + at.get((number, 0), ())
        items = tuple([at.get((number, block), ()) for block in range(1, count + 1)])
        stages.append(_stage(family.name, bare, number, above, items))
    return NetworkSpec(
        bare.stem,
        tuple(stages),
        values.get("num_classes", ARGUMENTS["num_classes"].default),
        values.get("in_channels", ARGUMENTS["in_channels"].default),
        bare.final_channels,
        values.get("global_pool", ARGUMENTS["global_pool"].default),
    )


def family_settings() -> dict[str, Any]:
    """Everything that some family lets a whole network have, by name, with what it may be."""
    return {name: known for one in FAMILIES.values() for name, known in one.settings.items()}


def known_family(name: object) -> Family:
    """The family of this name.

    Raises:
        InputError: If there is none.
    """
    if not isinstance(name, str) or name not in FAMILIES:
        raise InputError(
            f"family {shown(name)} is unknown: choose from {sorted(FAMILIES)}"
            f"{nearest(name, FAMILIES)}"
        )
    return FAMILIES[name]


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: plain(name, value) for name, value in settings.items()}


def _require_depth(family: Family, depth: object) -> None:
    """What is no depth is refused also where the blocks of every stage are given."""
    if depth != _CUSTOM and not (type(depth) is int and depth in family.presets):
        raise InputError(
            f"depth {shown(depth)} is unknown: choose from {[*family.presets, _CUSTOM]}"
            f"{nearest(depth, (*family.presets, _CUSTOM))}"
        )


@lru_cache(maxsize=65536)  # as many names as the largest spaces have parameters, for each family
def _scope(name: str, stages: int) -> tuple[_Scope, str]:
    """Split a parameter's name into its scope and the setting ("": it is no block's setting)."""
    of_network = _NETWORK | set(family_settings())
    if name in of_network or name in _CONSTANT:
        return (0, 0), ""
    match = _STAGE_NAME.fullmatch(name)
    stage, block, key = (int(match[1]), int(match[2] or 0), match[3]) if match else (0, 0, name)
    allowed = {"operator", *_hyperparameter_names(), *(["blocks"] if stage and not block else [])}
    if stage > stages or key not in allowed:
        known = allowed if stage else allowed | of_network | (_CONSTANT - _UNREAD)
        raise InputError(
            f"parameter {name!r} is unknown: a network has {stages} stages and, at this level, "
            f"{sorted(known)}{nearest(key, known)}"
        )
    return (stage, block), "" if key == "blocks" else key


def _hyperparameter_names() -> Iterable[str]:
    for operator in ops.names():
        with suppress(ImportError):  # a broken plugin is reported when it is asked for
            yield from ops.get(operator).hyperparameters


def _blocks(
    family: Family, stage: int, model: Mapping[str, Any], parameters: Mapping[str, Value]
) -> int:
    """The number of blocks: what varies goes before what is constant, a stage before the depth."""
    for values in (parameters, model):
        count = values.get(f"stage{stage}.blocks")
        if count is not None:
            require(f"stage{stage}.blocks", count, _BLOCKS)
            return int(count)
        depth = values.get("depth", _CUSTOM)
        if depth != _CUSTOM:
            _require_depth(family, depth)
            return family.presets[int(depth)][stage - 1]
    raise InputError(
        f"the blocks of stage {stage} are not given: set depth to one of {list(family.presets)}, "
        f"or stage{stage}.blocks"
    )


@lru_cache(maxsize=1024, typed=True)  # one for each width and setting of a space
def skeleton(family: str, width: float, settings: _Items) -> NetworkSpec:
    """:meth:`Family.skeleton`, kept."""
    return FAMILIES[family].skeleton(width, {name: value for name, value, _ in settings})


@lru_cache(maxsize=65536)  # distinct stages of a large search
def _stage(
    family: str, bare: NetworkSpec, number: int, above: _Items, own: tuple[_Items, ...]
) -> StageSpec:
    blocks = tuple([_block(family, above + items) for items in own])
    return replace(bare.stages[number - 1], blocks=blocks)


@lru_cache(maxsize=65536)  # distinct blocks of a large search
def _block(family: str, items: _Items) -> BlockSpec:
    """The block whose settings these are, the later of two of one name."""
    settings, ours = {name: value for name, value, _ in items}, FAMILIES[family]
    name = settings.get("operator", ours.operator)
    if name not in ops.names():
        raise InputError(
            f"operator {name!r} is not registered: choose from {sorted(ops.names())}"
            f"{nearest(name, ops.names())}"
        )
    operator = ops.get(str(name))
    own = {k: v for k, v in settings.items() if k in operator.hyperparameters}
    for key, value in own.items():
        if isinstance(value, float | bool):  # 3.0 is equal to 3 and would be taken for it from here
            require(key, value, operator.hyperparameters[key])
    if operator.name == ours.operator:
        own = {**ours.defaults, **own}
    return BlockSpec(operator.name, tuple(sorted(operator.complete(own).items())))
