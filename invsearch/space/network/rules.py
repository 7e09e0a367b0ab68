"""Which blocks are impossible, as rules of a space."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import ops
from invsearch.models.families import FAMILIES, Family
from invsearch.models.resolve import skeleton
from invsearch.space.architecture import Value
from invsearch.space.network.layout import Layout, operator_specs
from ops.hyperparameter import Refusal

__all__ = [
    "BlockRule",
    "BlocksGivenRule",
    "Trials",
    "block_rules",
    "existing",
    "narrowed",
    "try_rule",
]

_MAX_COMBINATIONS = 20_000  # some tenths of a second for each rule


@dataclass(frozen=True)
class BlockRule:
    """A block must be one that its operator can have at the stage's width.

    Attributes:
        stage: The stage, from 1.
        block: The block, from 1; 0 for all blocks of the stage alike. Where blocks are set alike
            but the first one's operator sees other channels, 2 stands for the others.
        names: The parameters that decide.
        roles: What each of them sets.
        constants: What is set by constants, by role.
    """

    stage: int
    block: int
    names: tuple[str, ...]
    roles: tuple[str, ...]
    constants: Mapping[str, Value]
    _memo: dict[tuple[Value | None, ...], Refusal | None] = field(
        default_factory=dict, compare=False, repr=False
    )

    def problem(self, values: tuple[Value | None, ...]) -> Refusal | None:
        """Say why these values make the block impossible, or return None."""
        if values not in self._memo:
            self._memo[values] = self._problem(values)
        return self._memo[values]

    def settings(self, values: tuple[Value | None, ...]) -> dict[str, Value]:
        """What is set, by role; what is not active is not set."""
        given = zip(self.roles, values, strict=True)
        return {**self.constants, **{role: value for role, value in given if value is not None}}

    def operator(self, settings: Mapping[str, Value]) -> ops.OpSpec:
        """The operator that settings give the block."""
        return ops.get(str(settings.get("operator") or self.family(settings).operator))

    def family(self, settings: Mapping[str, Value]) -> Family:
        """The family that settings say."""
        return FAMILIES[str(settings["family"])]

    def _problem(self, values: tuple[Value | None, ...]) -> Refusal | None:
        settings = self.settings(values)
        if self.block > self._count(settings):
            return None
        family, spec = self.family(settings), self.operator(settings)
        own = {name: settings[name] for name in spec.hyperparameters if name in settings}
        given = [name for name in family.settings if name in settings]
        of_family = tuple([(name, settings[name], type(settings[name])) for name in given])
        bare = skeleton(family.name, float(settings.get("width", 1.0)), of_family)
        first, others = family.operator_channels(bare, self.stage)
        reason = spec.problem(first if self.block <= 1 else others, own)
        place = f"stage{self.stage}" + (f".block{self.block}" if self.block else "")
        return None if reason is None else reason.within(place)

    def _count(self, settings: Mapping[str, Value]) -> int:
        """How many blocks there are, as far as this rule looks: enough if it does not."""
        depth = settings.get("depth")
        if isinstance(depth, int):
            return self.family(settings).presets[depth][self.stage - 1]
        return int(settings.get("blocks", self.block))


@dataclass(frozen=True)
class BlocksGivenRule:
    """A stage must have a number of blocks.

    Attributes:
        stage: The stage, from 1.
        names: ``stageN.blocks`` and, if it varies, ``depth``.
    """

    stage: int
    names: tuple[str, ...]

    def problem(self, values: tuple[Value | None, ...]) -> str | None:
        """Say that the stage has no number of blocks, or return None."""
        if any(isinstance(value, int) for value in values):
            return None
        return f"stage{self.stage}: the number of blocks is not given (its condition does not hold)"


@dataclass(frozen=True)
class Trials:
    """What came of trying every combination of a rule.

    Attributes:
        reason: Why some combination is impossible; None if none is.
        roles: The roles that it depends on whether a combination is possible.
        defaults: A value of every role.
        good: The values, by role, that are part of a block that is possible.
        bad: The others that were seen, each with a reason.
    """

    reason: Refusal | None
    roles: frozenset[str]
    defaults: Mapping[str, Value | None]
    good: frozenset[tuple[str, Value]]
    bad: Mapping[tuple[str, Value], Refusal]


def try_rule(rule: BlockRule, domains: Sequence[Sequence[Value | None]]) -> Trials:
    """Try every combination of what a rule looks at; too many are assumed to be possible."""
    pairs = [(r, v) for r, domain in zip(rule.roles, domains, strict=True) for v in domain]
    defaults = {role: domain[0] for role, domain in zip(rule.roles, domains, strict=True)}
    if math.prod(map(len, domains)) > _MAX_COMBINATIONS:
        good = frozenset((role, value) for role, value in pairs if value is not None)
        return Trials(Refusal("not tried"), frozenset(rule.roles), defaults, good, {})
    reasons = {values: rule.problem(values) for values in itertools.product(*domains)}
    seen: set[tuple[str, Value]] = set()
    bad: dict[tuple[str, Value], Refusal] = {}
    for values, reason in reasons.items():
        given = {r: v for r, v in zip(rule.roles, values, strict=True) if v is not None}
        if reason is None:
            settings = rule.settings(values)
            own = (rule.operator(settings).hyperparameters, rule.family(settings).settings)
            used = {"width", "family", "operator", *own[0], *own[1]}
            seen |= {(role, value) for role, value in given.items() if role in used}
        else:
            for pair in given.items():
                bad.setdefault(pair, reason)
    deciding = frozenset(r for i, r in enumerate(rule.roles) if _decides(i, reasons))
    reason = next((reason for reason in reasons.values() if reason is not None), None)
    return Trials(reason, deciding, defaults, frozenset(seen), bad)


def _decides(index: int, reasons: Mapping[tuple[Value | None, ...], Refusal | None]) -> bool:
    """Whether two combinations that differ in one place alone differ in being possible."""
    first: dict[tuple[Value | None, ...], bool] = {}
    for values, reason in reasons.items():
        rest = (*values[:index], *values[index + 1 :])
        if first.setdefault(rest, reason is None) != (reason is None):
            return True
    return False


def narrowed(rule: BlockRule, trials: Trials) -> BlockRule:
    """The rule without the parameters that it does not depend on."""
    kept = [(n, r) for n, r in zip(rule.names, rule.roles, strict=True) if r in trials.roles]
    fixed = {r: v for r, v in trials.defaults.items() if r not in trials.roles and v is not None}
    names, roles = tuple(n for n, _ in kept), tuple(r for _, r in kept)
    return BlockRule(rule.stage, rule.block, names, roles, {**rule.constants, **fixed})


def existing(layout: Layout, rule: BlockRule) -> BlockRule:
    """The rule of a block that need not exist, made to look at whether it does."""
    if rule.block <= min(layout.blocks(rule.stage)):
        return rule
    slots = {
        "depth": layout.slots.get("depth"),
        "blocks": layout.slots[f"stage{rule.stage}.blocks"],
    }
    if "custom" not in layout.depths:
        del slots["blocks"]
    varying = {role: slot for role, slot in slots.items() if slot is not None and slot.parameter}
    names = (*rule.names, *(slot.name for slot in varying.values()))
    return BlockRule(rule.stage, rule.block, names, (*rule.roles, *varying), rule.constants)


def block_rules(layout: Layout) -> Iterator[BlockRule]:
    """A rule for every block that may exist; one for all blocks of a stage that are set alike."""
    keys = list(dict.fromkeys(name for op in operator_specs() for name in op.hyperparameters))
    single = "block" not in {level for key in ("operator", *keys) for level in layout.levels(key)}
    for stage in layout.stages:
        if not single:
            alike = [block for _, block in layout.places(stage)]
        elif _first_differs(layout, stage):
            alike = [1, 2] if max(layout.blocks(stage)) > 1 else [1]
        else:
            alike = [0]
        for block in alike:
            yield _block_rule(layout, stage, block, keys)


def _first_differs(layout: Layout, stage: int) -> bool:
    """Whether the operator of a stage's first block may see other channels than the others'."""
    return any(
        len(set(family.operator_channels(family.skeleton(), stage))) > 1
        for family in layout.families
    )


def _block_rule(layout: Layout, stage: int, block: int, keys: list[str]) -> BlockRule:
    wanted = ("width", "family", *_widening(layout, stage), "operator", *keys)
    slots = {key: layout.find(key, stage, block) for key in wanted}
    varying = {k: s for k, s in slots.items() if s is not None and s.parameter is not None}
    constants = {
        k: s.constant for k, s in slots.items() if s is not None and s.constant is not None
    }
    names = tuple(slot.name for slot in varying.values())
    return BlockRule(stage, block, names, tuple(varying), constants)


def _widening(layout: Layout, stage: int) -> list[str]:
    """The families' own settings that change what the operators of a stage see."""
    found = []
    for family in layout.families:
        for name, known in family.settings.items():
            slot = layout.slots.get(name)
            values = {known.default, *(slot.values if slot is not None else ())}
            bare = [family.skeleton(settings={name: value}) for value in values]
            if len({family.operator_channels(spec, stage) for spec in bare}) > 1:
                found.append(name)
    return list(dict.fromkeys(found))
