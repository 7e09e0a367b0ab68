"""Building the Space of a model family from the ``model:`` and ``space:`` sections."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import replace
from typing import Any

from invsearch.errors import InputError
from invsearch.models.families import FAMILIES
from invsearch.models.resolve import family_settings
from invsearch.space.architecture import Value
from invsearch.space.conditions import Clause, ConditionRule, mentioned
from invsearch.space.entries import (
    checked_order,
    condition_values,
    impossible,
    title,
    unusable,
)
from invsearch.space.network.layout import (
    Layout,
    Slot,
    hyperparameter_names,
    read_layout,
    slot_name,
    value_path,
)
from invsearch.space.network.rules import (
    BlockRule,
    BlocksGivenRule,
    Trials,
    block_rules,
    existing,
    narrowed,
    try_rule,
)
from invsearch.space.network.space import NetworkSpace, blocks_names
from invsearch.space.network.usage import (
    existence,
    usage,
)
from invsearch.space.parameter import Parameter
from invsearch.space.schema import Model
from invsearch.space.yaml_file import Document, Path
from ops.hyperparameter import Refusal

__all__ = ["network_space"]

_When = tuple[tuple[str, tuple[Value, ...]], ...]


def network_space(document: Document, model: Model, space: dict[str, Any]) -> NetworkSpace:
    """Build the space of a ``model:`` and a ``space:`` section.

    Raises:
        InputError: With the position of what is wrong.
    """
    return _Builder(document, read_layout(document, model, space)).build()


class _Builder:
    def __init__(self, document: Document, layout: Layout) -> None:
        self.document, self.layout = document, layout
        self.varying = {n: s for n, s in layout.slots.items() if s.parameter is not None}
        self.whens = {name: self._when(slot) for name, slot in self.varying.items()}
        self.conditional = frozenset(name for name, when in self.whens.items() if when)
        self._trials: dict[Hashable, Trials] = {}

    def build(self) -> NetworkSpace:
        self._check_family()
        self._check_widths()
        self._drop_unused()
        conditions = self._conditions()
        clauses = {
            name: tuple(dict.fromkeys([*self._implicit(slot), *conditions[name][1]]))
            for name, slot in self.varying.items()
        }
        parameters = [
            replace(slot.parameter, when=conditions[name][0])
            for name, slot in self.varying.items()
            if slot.parameter is not None
        ]
        paths = {name: slot.path for name, slot in self.varying.items()}
        needs = {name: mentioned(found) for name, found in clauses.items()}
        checked_order(self.document, paths, needs)
        rules = [*self._blocks_given(), *self._possible_blocks()]
        constants = {n: s.constant for n, s in self.layout.slots.items() if s.constant is not None}
        return NetworkSpace(
            parameters,
            clauses=clauses,
            rules=rules,
            constants=constants,
            family=self.layout.family,
        )

    def _when(self, slot: Slot) -> dict[str, Any]:
        value = self.document.value
        for part in slot.path:
            value = value[part]
        return (value.get("when") or {}) if isinstance(value, dict) else {}

    def _check_family(self) -> None:
        if "family" not in self.layout.slots:
            raise self.document.error(("model",), "missing key 'family' in model")

    def _check_widths(self) -> None:
        """Refuse two widths that are one after rounding."""
        slot = self.varying.get("width")
        seen: dict[tuple[int, ...], Value] = {}
        for index, value in enumerate(slot.values if slot else ()):
            skeleton = self.layout.family.skeleton(float(value))
            channels = tuple(stage.width for stage in skeleton.stages)
            if channels in seen:
                assert slot is not None
                assert slot.parameter is not None
                raise self.document.error(
                    value_path(slot.parameter, slot.path, index),
                    f"width {value} gives the same channels as width {seen[channels]}: {channels}",
                )
            seen[channels] = value

    def _drop_unused(self) -> None:
        """Drop hyperparameters where no block can use them; refuse those that none can use."""
        hyperparameters = set(hyperparameter_names())
        used: set[tuple[str | int, ...]] = set()
        found: dict[tuple[str | int, ...], Slot] = {}
        for name, slot in list(self.layout.slots.items()):
            if slot.key in hyperparameters:
                origin = slot.path[:-1] if isinstance(slot.path[-1], int) else slot.path
                found.setdefault(origin, slot)
                if usage(self.layout, slot, self.conditional):
                    used.add(origin)
                elif slot.parameter is not None:
                    del self.varying[name]
        for origin, slot in found.items():
            if origin not in used:
                raise self.document.error(
                    origin,
                    f"{title(origin)} has no effect: no block's operator uses {slot.key!r}",
                    key=True,
                )
        self._check_settings()

    def _check_settings(self) -> None:
        """Refuse a setting that no family of the space has."""
        for name in family_settings():
            slot = self.layout.slots.get(name)
            if slot is not None and all(name not in f.settings for f in self.layout.families):
                having = [family for family in FAMILIES.values() if name in family.settings]
                what = having[0].settings[name].description
                raise self.document.error(
                    slot.path,
                    f"{title(slot.path)} has no effect: only "
                    f"{' and '.join(family.name for family in having)} has {what}",
                    key=True,
                )

    def _implicit(self, slot: Slot) -> Iterator[Clause]:
        """When a setting has an effect, whatever its ``when`` says."""
        depth, family = self.varying.get("depth"), self.varying.get("family")
        if slot.key == "blocks" and depth is not None:
            absent = [None] if "depth" in self.conditional else []
            yield (((depth.name, frozenset(["custom", *absent])),),)
        elif slot.key in family_settings():
            having = [f.name for f in self.layout.families if slot.key in f.settings]
            if family is not None and len(having) < len(self.layout.families):
                yield (((family.name, frozenset(having)),),)
        elif slot.key == "operator" and slot.block:
            yield from self._clause(existence(self.layout, slot.stage, slot.block))
        elif slot.key in hyperparameter_names():
            yield from self._clause(usage(self.layout, slot, self.conditional))

    def _clause(self, clause: Clause) -> Iterator[Clause]:
        if () not in clause:
            yield clause

    def _conditions(self) -> dict[str, tuple[_When, tuple[Clause, ...]]]:
        """By parameter, its ``when`` with full names, and the same as clauses."""
        resolved: dict[str, tuple[_When, tuple[Clause, ...]]] = {}
        ever: dict[Path, bool] = {}
        errors: dict[Path, InputError] = {}
        for name, slot in self.varying.items():
            when: list[tuple[str, tuple[Value, ...]]] = []
            clauses: list[Clause] = []
            for key, raw in self.whens[name].items():
                other = self._look_up(slot, key)
                shape = other.parameter or Parameter(key, other.values)
                values = condition_values(self.document, slot.path, key, raw)
                members = [shape.normal(value) for value in values]
                for index, member in enumerate(members):
                    place = (*slot.path, key, index)
                    ever[place] = ever.get(place, False) or member is not None
                    errors[place] = impossible(self.document, slot.path, key, index, shape)
                normal = tuple(member for member in members if member is not None)
                if other.name in self.varying:
                    when.append((other.name, normal))
                    clauses.append((((other.name, frozenset(normal)),),))
                elif other.parameter is not None or not normal:
                    clauses.append(())
            resolved[name] = (tuple(when), tuple(clauses))
        for place, possible in ever.items():
            if not possible:
                raise errors[place]
        return resolved

    def _look_up(self, slot: Slot, key: str) -> Slot:
        places = [(slot.stage, slot.block), (slot.stage, 0), (0, 0)]
        for name in [slot_name(key, *place) for place in places]:
            if name in self.layout.slots:
                return self.layout.slots[name]
        names = [n for n, s in self.layout.slots.items() if (s.stage, s.block) in places]
        short = list(dict.fromkeys(self.layout.slots[n].key for n in names))
        raise unusable(self.document, slot.path, key, None, short)

    def _blocks_given(self) -> Iterator[ConditionRule]:
        for stage, name in enumerate(blocks_names(self.layout.family), 1):
            extra = set(self.whens.get(name, {})) - {"depth"}
            if extra or (name in self.varying and "depth" in self.conditional):
                names = [n for n in (name, "depth") if n in self.varying]
                yield BlocksGivenRule(stage, tuple(names))

    def _possible_blocks(self) -> Iterator[BlockRule]:
        """The rules that can be broken, once every value has been seen to be possible somewhere."""
        good: set[tuple[str, Value]] = set()
        bad: dict[tuple[str, Value], Refusal] = {}
        for rule in map(self._without_dropped, block_rules(self.layout)):
            found = self._tried(rule)
            named = dict(zip(rule.roles, rule.names, strict=True))
            good |= {(named[role], value) for role, value in found.good}
            for (role, value), reason in found.bad.items():
                bad.setdefault((named[role], value), reason)
            if found.reason is not None and not rule.names:
                raise self._constant_error(found.reason)
            if found.reason is not None:
                needed = existing(self.layout, narrowed(rule, found))
                if not needed.names:  # whatever varies, the constants alone break it
                    raise self._constant_error(found.reason)
                yield needed
        for (name, value), reason in bad.items():
            if (name, value) not in good:
                slot = self.varying[name]
                assert slot.parameter is not None
                path = value_path(slot.parameter, slot.path, slot.parameter.index(value))
                raise self.document.error(path, f"{title(slot.path)} {value}: {reason}")

    def _tried(self, rule: BlockRule) -> Trials:
        """All combinations of a rule, tried once for all blocks that are set alike."""
        domains = tuple(
            (*self.varying[name].values, *((None,) if name in self.conditional else ()))
            for name in rule.names
        )
        key = (rule.stage, rule.roles, domains, tuple(rule.constants.items()))
        if key not in self._trials:
            self._trials[key] = try_rule(rule, domains)
        return self._trials[key]

    def _constant_error(self, reason: Refusal) -> InputError:
        """The error about constants that no block can have, at the constant that is to blame."""
        paths = [slot.path for slot in self.layout.slots.values() if slot.key == reason.setting]
        path = paths[0] if paths else ("space",)
        return self.document.error(path, f"{title(path)}: {reason}")

    def _without_dropped(self, rule: BlockRule) -> BlockRule:
        kept = [(n, r) for n, r in zip(rule.names, rule.roles, strict=True) if n in self.varying]
        names, roles = tuple(n for n, _ in kept), tuple(r for _, r in kept)
        return BlockRule(rule.stage, rule.block, names, roles, rule.constants)
