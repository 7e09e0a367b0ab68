"""When a network's settings have an effect, as clauses of a space."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import ops
from invsearch.models.families import FAMILIES
from invsearch.space.architecture import Value
from invsearch.space.conditions import Clause, Term, simplified
from invsearch.space.network.layout import Layout, Slot

__all__ = ["existence", "usage"]


def existence(layout: Layout, stage: int, block: int) -> Clause:
    """The terms of which one holds where a block exists: one empty term where it always does."""
    if min(layout.blocks(stage)) >= block:
        return ((),)
    terms: list[Term] = []
    depth, own = layout.slots.get("depth"), layout.slots.get(f"stage{stage}.blocks")
    deep = frozenset(
        d
        for d in layout.depths
        if isinstance(d, int) and layout.family.presets[d][stage - 1] >= block
    )
    if depth is not None and deep:
        terms.append(((depth.name, deep),))
    enough = frozenset(v for v in (own.values if own else ()) if int(v) >= block)
    if own is not None and enough:
        terms.append(((own.name, enough),))
    return tuple(terms)


def usage(layout: Layout, slot: Slot, conditional: frozenset[str]) -> Clause:
    """The terms of which one holds where some block's operator uses a hyperparameter.

    Args:
        layout: All settings.
        slot: The hyperparameter's.
        conditional: Names of the parameters that have conditions of their own.
    """
    terms: dict[Term, None] = {}
    for stage, block in layout.places(slot.stage, slot.block):
        for operator, chosen in _operators(layout, stage, block, conditional):
            for effect in _effects(layout, operator, slot.key, stage, block, conditional):
                implied = any(name.count(".") == 2 and None not in v for name, v in chosen)
                for exists in ((),) if implied else existence(layout, stage, block):
                    terms[*exists, *chosen, *effect] = None
    return simplified(terms, _domains(layout, conditional))


def _domains(layout: Layout, conditional: frozenset[str]) -> dict[str, frozenset[Value]]:
    """All values of the parameters that are always active."""
    return {
        name: frozenset(slot.values)
        for name, slot in layout.slots.items()
        if slot.key in ("family", "depth", "width", "operator")
        and slot.parameter is not None
        and not slot.block
        and name not in conditional
    }


def _operators(
    layout: Layout, stage: int, block: int, conditional: frozenset[str]
) -> Iterator[tuple[str, Term]]:
    """Every operator that a block may have, with the term that says when."""
    slot = layout.find("operator", stage, block)
    if slot is not None and slot.parameter is None:
        yield str(slot.constant), ()
        return
    absent: Term = ()
    if slot is not None:
        yield from ((str(v), ((slot.name, frozenset([v])),)) for v in slot.values)
        if slot.name not in conditional:
            return
        absent = ((slot.name, frozenset([None])),)
    family = layout.slots["family"]
    for value in family.values:
        when: Term = () if family.parameter is None else ((family.name, frozenset([value])),)
        yield FAMILIES[str(value)].operator, (*absent, *when)


def _effects(
    layout: Layout, operator: str, key: str, stage: int, block: int, conditional: frozenset[str]
) -> Iterator[Term]:
    """The terms of which one holds where a hyperparameter of the operator does something."""
    known = ops.get(operator).hyperparameters
    if key not in known:
        return
    needs = [
        list(_having(layout, other, known[other].default, wanted, stage, block, conditional))
        for other, wanted in known[key].needs.items()
    ]
    for terms in itertools.product(*needs):
        yield tuple(itertools.chain.from_iterable(terms))


def _having(
    layout: Layout,
    key: str,
    default: Value,
    wanted: Sequence[Value],
    stage: int,
    block: int,
    conditional: frozenset[str],
) -> Iterator[Term]:
    """The terms of which one holds where a setting of a block has one of these values."""
    slot = layout.find(key, stage, block)
    if slot is None or slot.parameter is None:
        if (default if slot is None else slot.constant) in wanted:
            yield ()
        return
    allowed: set[Value | None] = {value for value in slot.values if value in wanted}
    if default in wanted and slot.name in conditional:
        allowed.add(None)
    if allowed:
        yield ((slot.name, frozenset(allowed)),)
