"""The Space of a model family: blocks that equal a preset depth are spelt as that depth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from invsearch.models.families import Family
from invsearch.models.resolve import network_spec
from invsearch.space.architecture import Value
from invsearch.space.conditions import Clause, ConditionRule, holds
from invsearch.space.counting import Pins, TooManyStatesError
from invsearch.space.parameter import Parameter
from invsearch.space.space import Chosen, Space

__all__ = ["NetworkSpace", "blocks_names"]

_MAX_FOLDED = 20_000  # assignments gone through one by one to count a space: about a second


class NetworkSpace(Space):
    """A space of networks, in which blocks that equal a preset depth are spelt as that depth.

    Args:
        parameters: In any order.
        clauses: By parameter, when it has an effect.
        rules: What rules combinations out.
        constants: What is held constant.
        family: Whose stages and depths these are, as all its families have.
    """

    def __init__(
        self,
        parameters: Sequence[Parameter],
        *,
        clauses: Mapping[str, tuple[Clause, ...]],
        rules: Sequence[ConditionRule],
        constants: Mapping[str, Any],
        family: Family,
    ) -> None:
        super().__init__(parameters, clauses=clauses, rules=rules, constants=constants)
        depth = self._by_name.get("depth")
        depths = depth.choices or () if depth is not None else ()
        presets = [depth for depth in depths if isinstance(depth, int) and "custom" in depths]
        self._presets: dict[tuple[Value, ...], int] = {family.presets[d]: d for d in presets}
        self._blocks = blocks_names(family)
        self._plain_fold = not any(
            {"depth", *self._blocks} & {name for name, _ in parameter.when}
            for parameter in parameters
            if parameter.name not in self._blocks
        )

    def _fold(self, chosen: Chosen) -> Chosen:
        if not self._presets or chosen.get("depth") != "custom":
            return chosen
        depth = self._presets.get(tuple(chosen.get(name, 0) for name in self._blocks))
        if depth is None:
            return chosen
        folded: Chosen = {k: v for k, v in chosen.items() if k not in self._blocks}
        folded["depth"] = depth
        if self._plain_fold or self._same(chosen, folded):
            return folded
        return chosen

    def _same(self, chosen: Chosen, folded: Chosen) -> bool:
        """Whether a preset is the same network, where conditions look at the depth."""
        active = {name for name, _, clauses in self._plan if holds(clauses, folded)}
        if active != set(folded):
            return False
        return network_spec(self.constants, chosen) == network_spec(self.constants, folded)

    def _folded(self, pins: Pins) -> int:
        total = 0
        for blocks in self._presets:
            fixed: dict[str, frozenset[Value]] = {"depth": frozenset(["custom"])}
            fixed.update(
                (name, frozenset([n])) for name, n in zip(self._blocks, blocks, strict=True)
            )
            merged = dict(pins)
            for name, values in fixed.items():
                merged[name] = values & merged.get(name, values)
            if all(merged.values()) and all(n in self._by_name for n in self._blocks):
                total += self._folded_from(merged)
        return total

    def _folded_from(self, pins: Pins) -> int:
        number = int(self._count_spellings(pins))
        if self._plain_fold or not number:
            return number
        if number > _MAX_FOLDED:
            raise TooManyStatesError
        return sum(self._fold(chosen) is not chosen for chosen in self._assignments(None, pins))


def blocks_names(family: Family) -> tuple[str, ...]:
    """The names of the parameters that give the numbers of blocks, stage by stage."""
    return tuple(f"stage{number}.blocks" for number in range(1, len(family.stages) + 1))
