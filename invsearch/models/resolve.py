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
from invsearch.models.families import FAMILIES, Family
from invsearch.models.network import BlockSpec, NetworkSpec, StageSpec

if TYPE_CHECKING:
    from invsearch.space.architecture import Value

    _Items = tuple[tuple[str, Value], ...]

__all__ = ["family_settings", "network_spec", "skeleton"]

_NETWORK = frozenset({"family", "depth", "width", "task", "neck", "head"})
_CONSTANT = frozenset({"num_classes", "in_channels", "resolution", "operators"})
_STAGE_NAME = re.compile(r"stage([1-9]\d*)\.(?:block([1-9]\d*)\.)?(\w+)")

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
    parameters = dict(parameters)  # an Architecture looks each name up from the front
    values = {**model, **parameters}
    family = _family(values.get("family", "rednet"))
    number_of_stages = len(family.stages)
    scopes: dict[_Scope, list[tuple[str, Value]]] = {}
    for name, value in values.items():
        place, key = _scope(name, number_of_stages)
        if key:
            scopes.setdefault(place, []).append((key, value))
    at = {place: tuple(items) for place, items in scopes.items()}
    own = tuple([(name, values[name]) for name in family.settings if name in values])
    bare = skeleton(family.name, values.get("width", 1.0), own)
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
        values.get("num_classes", 1000),
        values.get("in_channels", 3),
        bare.final_channels,
    )


def family_settings() -> dict[str, Any]:
    """Everything that some family lets a whole network have, by name, with what it may be."""
    return {name: known for one in FAMILIES.values() for name, known in one.settings.items()}


def _family(name: object) -> Family:
    if name not in FAMILIES:
        raise InputError(
            f"family {name!r} is unknown: choose from {sorted(FAMILIES)}{nearest(name, FAMILIES)}"
        )
    return FAMILIES[str(name)]


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
        known = allowed if stage else allowed | of_network
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
            if type(count) is not int or count < 1:
                raise InputError(f"stage{stage}.blocks is {count!r}: give a whole number >= 1")
            return count
        depth = values.get("depth", "custom")
        if isinstance(depth, int) and depth in family.presets:
            return family.presets[depth][stage - 1]
        if depth != "custom":
            raise InputError(
                f"depth {depth!r} is unknown: choose from {[*family.presets, 'custom']}"
                f"{nearest(depth, family.presets)}"
            )
    raise InputError(
        f"the blocks of stage {stage} are not given: set depth to one of {list(family.presets)}, "
        f"or stage{stage}.blocks"
    )


@lru_cache(maxsize=1024)  # one for each width and setting of a space
def skeleton(family: str, width: float, settings: _Items) -> NetworkSpec:
    """:meth:`Family.skeleton`, kept."""
    return FAMILIES[family].skeleton(width, dict(settings))


@lru_cache(maxsize=65536)  # distinct stages of a large search
def _stage(
    family: str, bare: NetworkSpec, number: int, above: _Items, own: tuple[_Items, ...]
) -> StageSpec:
    blocks = tuple([_block(family, above + items) for items in own])
    return replace(bare.stages[number - 1], blocks=blocks)


@lru_cache(maxsize=65536)  # distinct blocks of a large search
def _block(family: str, items: _Items) -> BlockSpec:
    """The block whose settings these are, the later of two of one name."""
    settings, ours = dict(items), FAMILIES[family]
    name = settings.get("operator", ours.operator)
    if name not in ops.names():
        raise InputError(
            f"operator {name!r} is not registered: choose from {sorted(ops.names())}"
            f"{nearest(name, ops.names())}"
        )
    operator = ops.get(str(name))
    own = {k: v for k, v in settings.items() if k in operator.hyperparameters}
    if operator.name == ours.operator:
        own = {**ours.defaults, **own}
    return BlockSpec(operator.name, tuple(sorted(operator.complete(own).items())))
